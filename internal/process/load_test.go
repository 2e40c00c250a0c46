package process

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

type example struct {
	Settings
	DatabaseURL string        `env:"EXAMPLE_DATABASE_URL,required" secret:"url" takes:"a Postgres URL"`
	Keys        string        `env:"EXAMPLE_KEYS" secret:"true" takes:"kid:base64"`
	Timeout     time.Duration `env:"EXAMPLE_TIMEOUT" envDefault:"30s"`
	Retention   time.Duration `env:"EXAMPLE_RETENTION" envDefault:"0" min:"0s"`
	Lane        int           `env:"EXAMPLE_LANE" envDefault:"16" min:"1"`
	Mode        string        `env:"EXAMPLE_MODE"`
	Open        bool          `env:"EXAMPLE_OPEN"`
}

func (e example) Validate() error {
	if e.Mode == "wrong" {
		return errors.Join(Takes("EXAMPLE_MODE", "immediate or external"), NotSet("EXAMPLE_KEYS", "kid:base64"))
	}
	return nil
}

func TestLoadReadsEnvironmentOverDefaults(t *testing.T) {
	t.Parallel()
	got, err := Load[example](map[string]string{
		"EXAMPLE_DATABASE_URL":   "postgres://u:p@h/db",
		"EXAMPLE_TIMEOUT":        " 2m ",
		"EXAMPLE_RETENTION":      "0",
		"EXAMPLE_OPEN":           "true",
		"EXAMPLE_MODE":           "",
		"PARLEY_TRUSTED_PROXIES": "10.1.2.3/8, 192.0.2.7,,fd00::/8",
		"PARLEY_LOG_LEVEL":       "debug",
	}, map[string]string{"PARLEY_HTTP_ADDR": "127.0.0.1:8081", "EXAMPLE_MODE": "immediate"},
		map[string]string{"PARLEY_HTTP_ADDR": "127.0.0.1:9999"})
	if err != nil {
		t.Fatal(err)
	}
	want := example{
		Settings: Settings{
			HTTPAddr: "127.0.0.1:8081", NATSReplicas: 1, LogLevel: slog.LevelDebug, LogFormat: "json",
			TrustedProxies: []netip.Prefix{
				netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("fd00::/8"),
			},
		},
		DatabaseURL: "postgres://u:p@h/db", Timeout: 2 * time.Minute, Lane: 16, Mode: "immediate", Open: true,
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}

func TestLoadNamesTheVariableAndWhatItTakes(t *testing.T) {
	t.Parallel()
	const secret = "s3cret"
	for name, test := range map[string]struct {
		environ map[string]string
		want    string
	}{
		"not set": {
			map[string]string{"EXAMPLE_DATABASE_URL": ""},
			"EXAMPLE_DATABASE_URL is not set; it takes a Postgres URL",
		},
		"not a duration": {
			map[string]string{"EXAMPLE_TIMEOUT": secret},
			"EXAMPLE_TIMEOUT takes a duration such as 30s, 15m or 24h",
		},
		"a duration of nothing": {
			map[string]string{"EXAMPLE_TIMEOUT": "0s"},
			"EXAMPLE_TIMEOUT takes a duration such as 30s, 15m or 24h",
		},
		"below what it may be": {
			map[string]string{"EXAMPLE_RETENTION": "-1s"},
			"EXAMPLE_RETENTION takes a duration such as 30s, 15m or 24h, at least 0s",
		},
		"out of bounds": {
			map[string]string{"PARLEY_NATS_REPLICAS": "6"},
			"PARLEY_NATS_REPLICAS takes a whole number from 1 to 5",
		},
		"not a number": {
			map[string]string{"EXAMPLE_LANE": secret},
			"EXAMPLE_LANE takes a whole number, at least 1",
		},
		"not true or false": {
			map[string]string{"EXAMPLE_OPEN": secret},
			"EXAMPLE_OPEN takes true or false",
		},
		"not networks": {
			map[string]string{"PARLEY_TRUSTED_PROXIES": "10.0.0.0/8," + secret},
			"PARLEY_TRUSTED_PROXIES takes networks separated by commas, such as 10.0.0.0/8,192.0.2.7",
		},
		"not a level": {
			map[string]string{"PARLEY_LOG_LEVEL": secret},
			"PARLEY_LOG_LEVEL takes debug, info, warn or error",
		},
		"the shared ones are validated": {
			map[string]string{"PARLEY_HTTP_ADDR": secret, "PARLEY_LOG_FORMAT": secret, "PARLEY_NATS_CERT_FILE": "c"},
			"PARLEY_HTTP_ADDR takes an address to listen on, such as 127.0.0.1:8080; PARLEY_LOG_FORMAT takes json or text; " +
				"PARLEY_NATS_KEY_FILE is not set; it takes the key of PARLEY_NATS_CERT_FILE",
		},
		"a key without its certificate": {
			map[string]string{"PARLEY_NATS_KEY_FILE": "k"},
			"PARLEY_NATS_CERT_FILE is not set; it takes the certificate of PARLEY_NATS_KEY_FILE",
		},
		"those of the service are validated": {
			map[string]string{"EXAMPLE_MODE": "wrong"},
			"EXAMPLE_MODE takes immediate or external; EXAMPLE_KEYS is not set; it takes kid:base64",
		},
		"several in one line": {
			map[string]string{"EXAMPLE_LANE": "x", "PARLEY_NATS_REPLICAS": secret},
			"PARLEY_NATS_REPLICAS takes a whole number from 1 to 5; EXAMPLE_LANE takes a whole number, at least 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := map[string]string{"EXAMPLE_DATABASE_URL": "postgres://h/db"}
			for k, v := range test.environ {
				environ[k] = v
			}
			got, err := Load[example](environ)
			if err == nil {
				t.Fatalf("no error, settings %+v", got)
			}
			if err.Error() != test.want {
				t.Errorf("error\n %s\nwant\n %s", err, test.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Error("the error repeats the value")
			}
			var one *SettingError
			if !errors.As(err, &one) {
				t.Errorf("error of type %T has no SettingError", err)
			}
		})
	}
}

func TestValidateOfAServiceWithoutItsOwn(t *testing.T) {
	t.Parallel()
	type plain struct{ Settings }
	_, err := Load[plain](map[string]string{"PARLEY_LOG_FORMAT": "xml"})
	if err == nil || err.Error() != "PARLEY_LOG_FORMAT takes json or text" {
		t.Errorf("error %v, want the shared one once", err)
	}
}

func TestSummaryHidesSecrets(t *testing.T) {
	t.Parallel()
	settings := example{DatabaseURL: "postgres://user:pass@host:5432/db?password=pass", Keys: "k1:c2VjcmV0", Timeout: time.Minute}
	settings.NATSURL = "nats://user:pass@a:4222,tls://token@b:4222"
	var out bytes.Buffer
	NewLogger(&out, Settings{LogFormat: "text"}, "example").Info("starting", "settings", Summary(settings))
	for _, want := range []string{
		"service=example", "postgres://host:5432/db", "nats://a:4222,tls://b:4222",
		`settings.EXAMPLE_KEYS="configured: true"`, "settings.EXAMPLE_TIMEOUT=1m0s",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
	for _, secret := range []string{"pass", "c2VjcmV0", "token"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s is in %s", secret, out.String())
		}
	}
}

func TestRedactURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                            "",
		"nats://h:1":                  "nats://h:1",
		"user:pass@h:1":               "nats://h:1",
		"nats://u:p@h:1, nats://i:2 ": "nats://h:1,nats://i:2",
		"nats://u:%zz@h":              "configured: true",
		"postgres:///db?password=x#y": "postgres:///db",
	} {
		if got := RedactURL(raw); got != want {
			t.Errorf("RedactURL(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestPrintSettings(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	PrintSettings[example](&out, map[string]string{"PARLEY_HTTP_ADDR": "127.0.0.1:8081"})
	for _, want := range []string{
		"PARLEY_HTTP_ADDR\n      an address to listen on, such as 127.0.0.1:8080 (default 127.0.0.1:8081)\n",
		"EXAMPLE_LANE\n      a whole number, at least 1 (default 16)\n",
		"EXAMPLE_KEYS\n      kid:base64\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestLogLevelAndFormat(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := NewLogger(&out, Settings{LogLevel: slog.LevelWarn, LogFormat: "json"}, "config")
	logger.Info("unheard")
	logger.Warn("heard")
	if got := out.String(); strings.Contains(got, "unheard") || !strings.Contains(got, `"msg":"heard","service":"config"`) {
		t.Errorf("log %s", got)
	}
}
