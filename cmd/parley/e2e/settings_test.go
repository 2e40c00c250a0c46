package e2e

import (
	"maps"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
)

// TestBadSettings starts each binary with one wrong setting: the process ends
// with code 1 and one line that names the variable and what it takes, and does
// not repeat the value.
func TestBadSettings(t *testing.T) {
	t.Parallel()
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	const wrong = "wR0ng-value"
	good := map[string]string{
		"PARLEY_HTTP_ADDR": "127.0.0.1:0", "PARLEY_NATS_URL": "nats://127.0.0.1:1",
		"PARLEY_ENCRYPTION_KEYS": keys, "PARLEY_ROOT_CLIENT_ID": rootID, "PARLEY_ROOT_CLIENT_SECRET": rootSecret,
		"PARLEY_EXECUTION": "immediate", "PARLEY_DATABASE_URL": "postgres://127.0.0.1:1/x",
		"PARLEY_DATA_DIR": t.TempDir(), "PARLEY_NATS_ADDR": "127.0.0.1:0",
	}
	everywhere := []string{"PARLEY_HTTP_ADDR", "PARLEY_TRUSTED_PROXIES", "PARLEY_NATS_REPLICAS", "PARLEY_LOG_LEVEL", "PARLEY_LOG_FORMAT"}
	variables := map[string][]string{
		"parley": append([]string{"PARLEY_NATS_SYNC", "PARLEY_ENCRYPTION_KEYS", "PARLEY_EXECUTION"}, everywhere...),
		"parley-config": append([]string{
			"PARLEY_ENCRYPTION_KEYS", "PARLEY_ACCESS_TOKEN_TTL", "PARLEY_REQUIRE_MANUAL_APPROVAL", "PARLEY_EGRESS_ALLOW_CIDRS",
		}, everywhere...),
		"parley-orchestrator": append([]string{
			"PARLEY_ENCRYPTION_KEYS", "PARLEY_EXECUTION", "PARLEY_EXECUTION_TIMEOUT", "PARLEY_IDENTITY_TTL",
			"PARLEY_REQUEST_RETENTION", "PARLEY_EVENT_RETENTION", "PARLEY_DELIVERY_MAX_AGE",
			"PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT", "PARLEY_REQUIRE_MANUAL_APPROVAL", "PARLEY_SUBMISSIONS_PER_MINUTE",
		}, everywhere...),
		"parley-dispatcher": append([]string{
			"PARLEY_ENCRYPTION_KEYS", "PARLEY_DELIVERY_TIMEOUT", "PARLEY_DELIVERY_MAX_ATTEMPTS", "PARLEY_DELIVERY_BACKOFF",
			"PARLEY_LANE_CONCURRENCY", "PARLEY_EGRESS_ALLOW_CIDRS", "PARLEY_EGRESS_ALLOW_HTTP", "PARLEY_EGRESS_CA_FILE", "PARLEY_PUBLIC_URL",
		}, everywhere...),
		"parley-callback": append([]string{
			"PARLEY_ENCRYPTION_KEYS", "PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT", "PARLEY_IDENTITY_TTL",
			"PARLEY_REFUSED_REPLIES_PER_MINUTE",
		}, everywhere...),
	}
	required := map[string][]string{
		"parley-config":       {"PARLEY_DATABASE_URL", "PARLEY_NATS_URL", "PARLEY_ENCRYPTION_KEYS", "PARLEY_ROOT_CLIENT_ID", "PARLEY_ROOT_CLIENT_SECRET"},
		"parley-orchestrator": {"PARLEY_DATABASE_URL", "PARLEY_NATS_URL", "PARLEY_ENCRYPTION_KEYS", "PARLEY_ROOT_CLIENT_ID", "PARLEY_EXECUTION"},
		"parley-dispatcher":   {"PARLEY_NATS_URL", "PARLEY_ENCRYPTION_KEYS"},
		"parley-callback":     {"PARLEY_NATS_URL", "PARLEY_ENCRYPTION_KEYS", "PARLEY_ROOT_CLIENT_ID"},
	}
	refuse := func(t *testing.T, program string, settings map[string]string, variable string) {
		t.Parallel()
		c := &child{t: t, name: program, path: binary(t, program), env: testbed.Environ(settings), log: newLog(t, t.TempDir(), program)}
		if program == "parley" {
			c.args = []string{"serve"}
		}
		c.start()
		err := c.wait()
		text := strings.TrimSpace(c.log.String())
		if err == nil || strings.Count(text, "\n") != 0 || !strings.Contains(text, variable) {
			t.Errorf("ended with %v and said:\n%s\nwant one line that names %s", err, text, variable)
		}
		if strings.Contains(text, wrong) {
			t.Errorf("the line repeats the value: %s", text)
		}
	}
	for program, names := range variables {
		for _, name := range names {
			t.Run(program+"/wrong/"+name, func(t *testing.T) {
				settings := maps.Clone(good)
				settings[name] = wrong
				refuse(t, program, settings, name)
			})
		}
	}
	for program, names := range required {
		for _, name := range names {
			t.Run(program+"/missing/"+name, func(t *testing.T) {
				settings := maps.Clone(good)
				delete(settings, name)
				refuse(t, program, settings, name)
			})
		}
	}
}

// TestTakenPort starts processes on an address that is taken: the error says
// which.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the subtests run when this function has returned
	taken := l.Addr().String()
	tests := map[string]struct{ program, variable string }{
		"service":  {"parley-callback", "PARLEY_HTTP_ADDR"},
		"origin":   {"parley", "PARLEY_HTTP_ADDR"},
		"own NATS": {"parley", "PARLEY_NATS_ADDR"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := keyring.Generate()
			if err != nil {
				t.Fatal(err)
			}
			settings := map[string]string{
				"PARLEY_HTTP_ADDR": "127.0.0.1:0", "PARLEY_NATS_ADDR": "127.0.0.1:0", "PARLEY_DATA_DIR": t.TempDir(),
				"PARLEY_ENCRYPTION_KEYS": keys, "PARLEY_ROOT_CLIENT_ID": rootID, "PARLEY_LOG_LEVEL": "error",
			}
			c := &child{t: t, name: tt.program, path: binary(t, tt.program), log: newLog(t, t.TempDir(), tt.program)}
			if tt.program == "parley" {
				c.args = []string{"serve"}
			} else {
				settings["PARLEY_NATS_URL"] = "nats://127.0.0.1:1"
			}
			settings[tt.variable] = taken
			c.env = testbed.Environ(settings)
			c.start()
			if err := c.wait(); err == nil {
				t.Error("ended without an error")
			}
			if text := c.log.String(); !strings.Contains(text, taken) || !strings.Contains(text, tt.variable) {
				t.Errorf("said:\n%s\nwant the address %s and %s", text, taken, tt.variable)
			}
		})
	}
}

// TestNoPostgres starts the all-in-one where no Postgres can be found: it says
// what to install.
func TestNoPostgres(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	c := &child{
		t: t, name: "parley", path: binary(t, "parley"), args: []string{"serve"}, log: newLog(t, empty, "parley"),
		env: testbed.Environ(map[string]string{
			"PARLEY_HTTP_ADDR": "127.0.0.1:0", "PARLEY_NATS_ADDR": "127.0.0.1:0", "PARLEY_DATA_DIR": t.TempDir(),
			"PARLEY_POSTGRES_BIN": empty, "PARLEY_LOG_LEVEL": "error",
		}),
	}
	c.start()
	if err := c.wait(); err == nil {
		t.Error("ended without an error")
	}
	if text := c.log.String(); !strings.Contains(text, "apt-get install postgresql") || strings.Count(strings.TrimSpace(text), "\n") != 0 {
		t.Errorf("said:\n%s\nwant one line with what to install", text)
	}
	if _, err := os.Stat(empty); err != nil {
		t.Error(err)
	}
}

// TestOldNATS connects a service to something that calls itself NATS 2.11.
func TestOldNATS(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the subtests run when this function has returned
	go beOldNATS(l)
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range serviceNames {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &child{
				t: t, name: name, path: binary(t, "parley-"+name), log: newLog(t, t.TempDir(), name),
				env: testbed.Environ(map[string]string{
					"PARLEY_HTTP_ADDR": "127.0.0.1:0", "PARLEY_NATS_URL": "nats://" + l.Addr().String(),
					"PARLEY_ENCRYPTION_KEYS": keys, "PARLEY_ROOT_CLIENT_ID": rootID, "PARLEY_ROOT_CLIENT_SECRET": rootSecret,
					"PARLEY_EXECUTION": "immediate", "PARLEY_DATABASE_URL": "postgres://127.0.0.1:1/x", "PARLEY_LOG_LEVEL": "error",
				}),
			}
			c.start()
			if err := c.wait(); err == nil {
				t.Error("ended without an error")
			}
			if text := c.log.String(); !strings.Contains(text, "NATS 2.12 or newer") || !strings.Contains(text, "2.11.4") {
				t.Errorf("said:\n%s\nwant which version is needed and which runs", text)
			}
		})
	}
}

// beOldNATS speaks as much of the protocol as a client needs to know who it
// talks to: the greeting, and PONG.
func beOldNATS(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			_, _ = conn.Write([]byte(`INFO {"server_id":"OLD","version":"2.11.4","proto":1,"max_payload":1048576,"headers":true,"jetstream":true}` + "\r\n"))
			buffer := make([]byte, 4096)
			for {
				n, err := conn.Read(buffer)
				if err != nil {
					return
				}
				if strings.Contains(string(buffer[:n]), "PING") {
					_, _ = conn.Write([]byte("PONG\r\n"))
				}
			}
		}()
	}
}
