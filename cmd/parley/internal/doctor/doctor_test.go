package doctor_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/parley-dsr/parley/cmd/parley/internal/doctor"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// stand serves what a service of the given version and keys does.
func stand(t *testing.T, version, keys string, waits string, date time.Time) string {
	t.Helper()
	ring, err := keyring.Parse(keys)
	if err != nil {
		t.Fatal(err)
	}
	registry := process.NewRegistry(version)
	process.ShowKeys(registry, ring)
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", date.UTC().Format(http.TimeFormat))
		if waits != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintf(w, `{"ready":false,"waiting_for":[%q]}`, waits)
			return
		}
		_, _ = fmt.Fprint(w, `{"ready":true}`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func generate(t *testing.T) string {
	t.Helper()
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func find(t *testing.T, r doctor.Report, name string) doctor.Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %q in %+v", name, r.Checks)
	return doctor.Check{}
}

func expect(t *testing.T, r doctor.Report, name string, state doctor.State, says string) {
	t.Helper()
	c := find(t, r, name)
	if c.State != state || !strings.Contains(c.Says, says) || state == doctor.Wrong && c.Do == "" {
		t.Errorf("%s: %+v, want %s with %q", name, c, state, says)
	}
}

// TestServicesThatDisagree: another version, another key, a neighbour that is
// waited for, a clock that is wrong, something that is no service. No key is in
// the report.
func TestServicesThatDisagree(t *testing.T) {
	t.Parallel()
	one, other, now := generate(t), generate(t), time.Now()
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	report := doctor.Examine(t.Context(), doctor.Patient{Services: []doctor.Service{
		{Name: "config", URL: stand(t, "v1", one, "", now)},
		{Name: "orchestrator", URL: stand(t, "v2", other, "", now)},
		{Name: "callback", URL: stand(t, "v1", one, "dsr_halted: starting", now.Add(-time.Minute))},
		{Name: "dispatcher", URL: elsewhere.URL},
	}})
	expect(t, report, "versions", doctor.Wrong, "callback, config: v1; orchestrator: v2")
	expect(t, report, "keys", doctor.Wrong, "orchestrator: ")
	expect(t, report, "config", doctor.OK, "is ready")
	expect(t, report, "config clock", doctor.OK, "")
	expect(t, report, "callback", doctor.Wrong, "dsr_halted")
	expect(t, report, "callback clock", doctor.Wrong, "off ours")
	expect(t, report, "dispatcher", doctor.Wrong, "no service of Parley")
	expect(t, report, "nats", doctor.Skipped, "")
	var out bytes.Buffer
	if err := report.Print(&out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "WRONG  versions: ") || !strings.Contains(out.String(), "checks found something wrong") {
		t.Errorf("printed %s", out.String())
	}
	for _, keys := range []string{one, other} {
		if _, secret, _ := strings.Cut(keys, ":"); strings.Contains(out.String(), secret) {
			t.Error("a key is in the report")
		}
	}
}

func TestServicesThatAgree(t *testing.T) {
	t.Parallel()
	keys, now := generate(t)+","+generate(t), time.Now()
	if strings.Count(keys, ":") != 2 {
		t.Fatal("two keys are wanted")
	}
	report := doctor.Examine(t.Context(), doctor.Patient{Services: []doctor.Service{
		{Name: "config", URL: stand(t, "v1", keys, "", now)}, {Name: "callback", URL: stand(t, "v1", keys, "", now)},
	}})
	expect(t, report, "versions", doctor.OK, "v1")
	expect(t, report, "keys", doctor.OK, "same keys")
	if !report.OK {
		t.Errorf("%+v", report.Checks)
	}
}

// TestANATSWithoutStreams: one on which the services have never run, or that
// has lost its store; and one that lets nobody in, and one that is away.
func TestANATSWithoutStreams(t *testing.T) {
	t.Parallel()
	server := testbed.NATSServer(t)
	report := doctor.Examine(t.Context(), doctor.Patient{NATS: func(string) (*nats.Conn, error) { return nats.Connect(server.URL()) }})
	expect(t, report, "nats", doctor.OK, "version 2.")
	expect(t, report, "stream DSR_WORK", doctor.Wrong, "does not exist")
	expect(t, report, "stream KV_dsr_halted", doctor.Wrong, "does not exist")
	expect(t, report, "consumers", doctor.Wrong, "callback-expiry")
	if c := find(t, report, "stream KV_dsr_halted"); !strings.Contains(c.Do, "Start callback") {
		t.Errorf("%+v", c)
	}
	report = doctor.Examine(t.Context(), doctor.Patient{NATS: func(string) (*nats.Conn, error) { return nil, fmt.Errorf("NATS: %w", nats.ErrAuthorization) }})
	expect(t, report, "nats", doctor.Wrong, "refuses the login")
	report = doctor.Examine(t.Context(), doctor.Patient{NATS: func(string) (*nats.Conn, error) {
		return nil, fmt.Errorf("does not answer: %w", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}})
	}})
	expect(t, report, "nats", doctor.Wrong, "unknown authority")
	if c := find(t, report, "nats"); !strings.Contains(c.Do, "PARLEY_NATS_CA_FILE") || !strings.Contains(c.Do, "tls://") {
		t.Errorf("%+v", c)
	}
	report = doctor.Examine(t.Context(), doctor.Patient{NATS: func(string) (*nats.Conn, error) { return nil, nats.ErrNoServers }})
	expect(t, report, "nats", doctor.Wrong, "no servers")
}

// TestDatabasesThatAreNotOfThisVersion: empty, newer, away; and no password in
// the report.
func TestDatabasesThatAreNotOfThisVersion(t *testing.T) {
	t.Parallel()
	report := doctor.Examine(t.Context(), doctor.Patient{Databases: []doctor.Database{
		{Service: "config", URL: testbed.Postgres(t), Latest: 2},
		{Service: "orchestrator", URL: "postgres://u:a-password@127.0.0.1:1/x", Latest: 2},
	}})
	expect(t, report, "database config", doctor.Wrong, "has migration 0 of 2")
	expect(t, report, "database config clock", doctor.OK, "")
	expect(t, report, "database orchestrator", doctor.Wrong, "does not answer")
	var out bytes.Buffer
	if err := report.Print(&out); err != nil || strings.Contains(out.String(), "a-password") {
		t.Errorf("%v, %s", err, out.String())
	}
}
