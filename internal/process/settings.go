package process

import (
	"log/slog"
	"net"
	"net/netip"
	"strconv"
)

// Settings that all binaries share, under the same names. A service embeds
// them in its own Settings:
//
//	type Settings struct {
//		process.Settings
//		DatabaseURL string `env:"PARLEY_DATABASE_URL" secret:"url" takes:"a Postgres URL"`
//	}
//
// The tags: env, envDefault as in caarlos0/env; min and max bound numbers and
// durations; takes says in words what the variable takes; secret keeps the
// value out of Summary ("true", or "url" to show the URL without its user).
type Settings struct {
	HTTPAddr        string         `env:"PARLEY_HTTP_ADDR" takes:"an address to listen on, such as 127.0.0.1:8080"`
	TrustedProxies  []netip.Prefix `env:"PARLEY_TRUSTED_PROXIES"`
	NATSURL         string         `env:"PARLEY_NATS_URL" secret:"url" takes:"the URL of a NATS server, such as nats://127.0.0.1:4222"`
	NATSCredentials string         `env:"PARLEY_NATS_CREDENTIALS" takes:"the path of a NATS credentials file, of a seed, or of a folder with the seed of each user"`
	NATSCAFile      string         `env:"PARLEY_NATS_CA_FILE" takes:"the path of a PEM file with root certificates"`
	NATSCertFile    string         `env:"PARLEY_NATS_CERT_FILE" takes:"the path of a PEM file with the client certificate"`
	NATSKeyFile     string         `env:"PARLEY_NATS_KEY_FILE" takes:"the path of a PEM file with the key of the client certificate"`
	NATSReplicas    int            `env:"PARLEY_NATS_REPLICAS" envDefault:"1" min:"1" max:"5"`
	LogLevel        slog.Level     `env:"PARLEY_LOG_LEVEL" envDefault:"info" takes:"debug, info, warn or error"`
	LogFormat       string         `env:"PARLEY_LOG_FORMAT" envDefault:"json" takes:"json or text"`
}

// Shared returns the shared settings of a service's own Settings, which embed
// them.
func (s Settings) Shared() Settings { return s }

// Validate checks what the tags cannot say.
func (s Settings) Validate() error {
	var wrong settingErrors
	if s.HTTPAddr != "" && !isHostPort(s.HTTPAddr) {
		wrong = append(wrong, Takes("PARLEY_HTTP_ADDR", "an address to listen on, such as 127.0.0.1:8080"))
	}
	if s.LogFormat != "" && s.LogFormat != "json" && s.LogFormat != "text" {
		wrong = append(wrong, Takes("PARLEY_LOG_FORMAT", "json or text"))
	}
	switch {
	case s.NATSCertFile != "" && s.NATSKeyFile == "":
		wrong = append(wrong, NotSet("PARLEY_NATS_KEY_FILE", "the key of PARLEY_NATS_CERT_FILE"))
	case s.NATSKeyFile != "" && s.NATSCertFile == "":
		wrong = append(wrong, NotSet("PARLEY_NATS_CERT_FILE", "the certificate of PARLEY_NATS_KEY_FILE"))
	}
	if len(wrong) == 0 {
		return nil
	}
	return wrong
}

func isHostPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}
