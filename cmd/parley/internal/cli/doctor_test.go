package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/cmd/parley/internal/allinone"
	"github.com/parley-dsr/parley/cmd/parley/internal/cli"
	"github.com/parley-dsr/parley/cmd/parley/internal/doctor"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/pkg/events"
)

// TestDoctorOfAnInstallation: it finds nothing wrong with an installation that
// runs, and each of the faults that are then put into it, and goes by its exit
// code.
func TestDoctorOfAnInstallation(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"PARLEY_DATA_DIR": t.TempDir(), "PARLEY_NATS_ADDR": "127.0.0.1:0"}
	i := serve(t, environ)
	visit := maps.Clone(environ)
	visit["PARLEY_HTTP_ADDR"], visit["PARLEY_NATS_URL"] = strings.TrimPrefix(i.info.Origin, "http://"), i.info.NATSURL
	examine := func(args ...string) (doctor.Report, error) {
		t.Helper()
		var out bytes.Buffer
		failure := cli.Run(t.Context(), append([]string{"doctor", "--json"}, args...), visit, &out)
		var report doctor.Report
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatalf("%v in %q (%v)", err, out.String(), failure)
		}
		return report, failure
	}
	report, err := examine()
	if err != nil || !report.OK || len(report.Checks) < 14 {
		t.Fatalf("of an installation that runs: %v, %+v", err, report.Checks)
	}
	for _, c := range report.Checks {
		if c.State != doctor.OK {
			t.Errorf("%s is %s: %s", c.Name, c.State, c.Says)
		}
	}

	_, js := testbed.Connect(t, i.info.NATSURL)
	stream, err := js.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	changed := stream.CachedInfo().Config
	changed.AllowDirect = false
	if _, err := js.UpdateStream(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	secondServe(t, visit)
	older(t, visit)
	report, err = examine("--service", "config="+i.info.Origin, "--service", "callback=http://127.0.0.1:1")
	if err == nil || report.OK {
		t.Fatalf("of an installation with faults: %v, %+v", err, report.Checks)
	}
	found := map[string]doctor.Check{}
	for _, c := range report.Checks {
		found[c.Name] = c
	}
	if c := found["callback"]; c.State != doctor.Wrong || c.Do == "" {
		t.Errorf("a service that is away: %+v", c)
	}
	if c := found["stream "+events.StreamEvents]; c.State != doctor.Wrong || !strings.Contains(c.Says, "allow_direct is false") || !strings.Contains(c.Do, "Restart orchestrator") {
		t.Errorf("a setting of a stream: %+v", c)
	}
	if c := found["databases"]; c.State != doctor.Skipped {
		t.Errorf("databases that nobody named: %+v", c)
	}
	if report, _ = examine(); report.OK {
		t.Error("nothing is wrong with a database that lacks a migration")
	}
	for _, c := range report.Checks {
		if c.Name == "database config" && (c.State != doctor.Wrong || !strings.Contains(c.Says, "of ")) {
			t.Errorf("a migration that is missing: %+v", c)
		}
	}
	for _, address := range []string{"config", "", "=http://127.0.0.1:1", "konfig=http://127.0.0.1:1", "config=127.0.0.1:1"} {
		var out bytes.Buffer
		err := cli.Run(t.Context(), []string{"doctor", "--service", address}, visit, &out)
		if err == nil || !strings.Contains(err.Error(), "--service takes NAME=URL") || !strings.Contains(err.Error(), "config, orchestrator, dispatcher, callback") {
			t.Errorf("the wrong address %q: %v", address, err)
		}
	}
}

// older takes the last migration of config off the record.
func older(t *testing.T, environ map[string]string) {
	t.Helper()
	url, err := allinone.DatabaseOf(environ, "config")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)"); err != nil {
		t.Fatal(err)
	}
}

// secondServe: a folder has one parley serve, and another one says so.
func secondServe(t *testing.T, environ map[string]string) {
	t.Helper()
	environ = maps.Clone(environ)
	delete(environ, "PARLEY_NATS_URL")
	environ["PARLEY_HTTP_ADDR"] = "127.0.0.1:0"
	err := cli.Run(t.Context(), []string{"serve"}, environ, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "another parley serve, or what is left of it, runs there, and PARLEY_DATA_DIR names another folder") {
		t.Errorf("a second parley serve in the folder: %v", err)
	}
}
