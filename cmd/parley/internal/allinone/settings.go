package allinone

import (
	"fmt"
	"maps"
	"net/url"
	"time"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/callback"
	"github.com/parley-dsr/parley/services/config"
	"github.com/parley-dsr/parley/services/dispatcher"
	"github.com/parley-dsr/parley/services/orchestrator"
)

// Settings of the all-in-one, beside those of the services.
type Settings struct {
	process.Settings

	DataDir     string `env:"PARLEY_DATA_DIR" envDefault:".parley" takes:"a folder for the NATS store, the private Postgres and generated keys"`
	NATSAddr    string `env:"PARLEY_NATS_ADDR" envDefault:"127.0.0.1:4222" takes:"the address of the embedded NATS, such as 127.0.0.1:4222"`
	NATSSync    string `env:"PARLEY_NATS_SYNC" envDefault:"always" takes:"always, or a duration between flushes such as 2m"`
	DatabaseURL string `env:"PARLEY_DATABASE_URL" secret:"url" takes:"a Postgres URL; the databases config and orchestrator on that server are used"`
	PostgresBin string `env:"PARLEY_POSTGRES_BIN" takes:"the folder that has initdb, postgres and pg_ctl; empty looks for them"`

	RootClientID     string `env:"PARLEY_ROOT_CLIENT_ID" takes:"the id of the root API client; generated if empty"`
	RootClientSecret string `env:"PARLEY_ROOT_CLIENT_SECRET" secret:"true" takes:"the secret of the root API client; generated if empty"`
	EncryptionKeys   string `env:"PARLEY_ENCRYPTION_KEYS" secret:"true" takes:"kid:base64 of 32 bytes, several separated by commas; generated if empty"`
}

// Defaults are what the all-in-one sets where the services would ask for a
// decision or be strict: it is for one machine.
func Defaults() map[string]string {
	return map[string]string{
		"PARLEY_HTTP_ADDR":          "127.0.0.1:8080",
		"PARLEY_LOG_FORMAT":         "text",
		"PARLEY_EXECUTION":          "immediate",
		"PARLEY_EGRESS_ALLOW_CIDRS": "127.0.0.0/8,::1/128",
		"PARLEY_EGRESS_ALLOW_HTTP":  "true",
	}
}

// Validate checks what the tags cannot say.
func (s Settings) Validate() error {
	if s.NATSSync != "always" {
		if d, err := time.ParseDuration(s.NATSSync); err != nil || d <= 0 {
			return process.Takes("PARLEY_NATS_SYNC", "always, or a duration between flushes such as 2m")
		}
	}
	if s.DatabaseURL != "" {
		if u, err := url.Parse(s.DatabaseURL); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			return process.Takes("PARLEY_DATABASE_URL", "a Postgres URL such as postgres://user@host/")
		}
	}
	return nil
}

// environFor is the environment of one service: what was given, and what the
// all-in-one found or made.
func environFor(given map[string]string, c credentials, natsURL, databaseURL string) map[string]string {
	environ := maps.Clone(given)
	maps.Copy(environ, map[string]string{
		"PARLEY_NATS_URL":           natsURL,
		"PARLEY_DATABASE_URL":       databaseURL,
		"PARLEY_ROOT_CLIENT_ID":     c.RootClientID,
		"PARLEY_ROOT_CLIENT_SECRET": c.RootClientSecret,
		"PARLEY_ENCRYPTION_KEYS":    c.EncryptionKeys,
	})
	return environ
}

// check reads the settings of every service before anything is started; where
// NATS and Postgres will be is not known yet.
func check(given map[string]string, c credentials) error {
	environ := environFor(given, c, "nats://127.0.0.1:4222", "postgres://127.0.0.1/parley")
	_, config := process.Load[config.Settings](environ, Defaults())
	_, orchestrator := process.Load[orchestrator.Settings](environ, Defaults())
	_, dispatcher := process.Load[dispatcher.Settings](environ, Defaults())
	_, callback := process.Load[callback.Settings](environ, Defaults())
	for _, err := range []error{config, orchestrator, dispatcher, callback} {
		if err != nil {
			return err
		}
	}
	return nil
}

// onServer gives the URL of another database on the same server.
func onServer(serverURL, database string) (string, error) {
	u, err := url.Parse(serverURL)
	if err != nil {
		return "", fmt.Errorf("PARLEY_DATABASE_URL: %w", process.Takes("PARLEY_DATABASE_URL", "a Postgres URL"))
	}
	u.Path = "/" + database
	return u.String(), nil
}
