package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/allinone"
	"github.com/parley-dsr/parley/cmd/parley/internal/cli"
	"github.com/parley-dsr/parley/cmd/parley/internal/ring"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
)

// installation is a parley serve of the test's own.
type installation struct {
	t       *testing.T
	environ map[string]string
	info    allinone.Info
	stop    func()
}

func serve(t *testing.T, environ map[string]string) *installation {
	t.Helper()
	listener, err := process.Socket(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan allinone.Info, 1), make(chan error, 1)
	go func() {
		ended <- allinone.Run(ctx, allinone.Options{
			Environ: environ, Log: t.Output(), Listener: listener, Ready: func(i allinone.Info) { ready <- i },
		})
	}()
	i := &installation{t: t, environ: environ}
	stopped := false
	i.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("parley serve ended with %v", err)
		}
	}
	t.Cleanup(i.stop)
	select {
	case i.info = <-ready:
	case err := <-ended:
		stopped = true
		t.Fatalf("parley serve did not start: %v", err)
	}
	return i
}

// run runs a command beside the installation and returns what it printed.
func (i *installation) run(args ...string) string {
	i.t.Helper()
	var out bytes.Buffer
	if err := cli.Run(i.t.Context(), args, i.environ, &out); err != nil {
		i.t.Fatalf("parley %s: %v", strings.Join(args, " "), err)
	}
	return out.String()
}

func (i *installation) keys() ring.Report {
	i.t.Helper()
	var report ring.Report
	if err := json.Unmarshal([]byte(i.run("keys", "status", "--json")), &report); err != nil {
		i.t.Fatal(err)
	}
	return report
}

func (i *installation) call(method, path, token, contentType, body string) string {
	i.t.Helper()
	r, err := http.NewRequestWithContext(i.t.Context(), method, i.info.Origin+path, strings.NewReader(body))
	if err != nil {
		i.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		i.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		i.t.Fatalf("%s %s: %d %s %v", method, path, answer.StatusCode, text, err)
	}
	return string(text)
}

func (i *installation) login() string {
	i.t.Helper()
	form := url.Values{"client_id": {i.info.RootClientID}, "client_secret": {i.info.RootClientSecret}}
	var issued struct {
		AccessToken string `json:"access_token"`
	}
	answer := i.call(http.MethodPost, "/api/v1/oauth/token", "", "application/x-www-form-urlencoded", form.Encode())
	if err := json.Unmarshal([]byte(answer), &issued); err != nil {
		i.t.Fatal(err)
	}
	return issued.AccessToken
}

// await asks until the answer is yes.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for !is() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain for %s", what)
		case <-ticker.C:
		}
	}
}

func TestKeysAreRotatedByCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	environ := map[string]string{
		"PARLEY_DATA_DIR": filepath.Join(dir, "data"), "PARLEY_NATS_ADDR": testbed.FreeAddr(t), "PARLEY_NATS_SYNC": "1m",
		"PARLEY_ACCESS_TOKEN_TTL": "5s", "PARLEY_REQUIRE_MANUAL_APPROVAL": "true",
	}
	parley := serve(t, environ)
	token := parley.login()
	parley.call(http.MethodPatch, "/api/v1/connection", token, "application/json",
		`[{"key":"c","name":"C","connection_type":"https","access":"read","secrets":{"url":"https://example.com","authorization":"a"}}]`)
	parley.call(http.MethodPost, "/api/v1/privacy-request", "", "application/json",
		`[{"policy_key":"default_access_policy","identity":{"email":"a@example.com"},"external_id":"x"}]`)
	for path, part := range map[string]string{"/openapi.json": "resumePrivacyRequest", "/docs": "Parley API", "/docs/docs.js": "use strict"} {
		if shown := parley.call(http.MethodGet, path, "", "", ""); !strings.Contains(shown, part) {
			t.Errorf("%s: %.200s", path, shown)
		}
	}
	before := parley.keys()
	if len(before.Keys) != 1 || !before.Keys[0].Seals || before.Keys[0].CanGo {
		t.Fatalf("%+v", before)
	}
	old := before.Keys[0].KID
	parley.stop()

	kept, err := os.ReadFile(filepath.Join(dir, "data", "credentials.json"))
	if err != nil {
		t.Fatal(err)
	}
	var credentials struct {
		EncryptionKeys string `json:"encryption_keys"`
	}
	if err := json.Unmarshal(kept, &credentials); err != nil {
		t.Fatal(err)
	}
	fresh, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	environ = maps.Clone(environ)
	environ["PARLEY_ENCRYPTION_KEYS"] = fresh + "," + credentials.EncryptionKeys
	parley = serve(t, environ)
	if status := parley.run("keys", "status"); !strings.Contains(status, "It cannot go yet. Run: parley keys reseal") {
		t.Error(status)
	}
	if done := parley.run("keys", "reseal"); strings.Contains(done, "left as they are") {
		t.Error(done)
	}
	await(t, "the old key to be free", func() bool {
		report := parley.keys()
		return report.Keys[1].KID == old && report.Keys[1].CanGo
	})
	if status := parley.run("keys", "status"); !strings.Contains(status, "It can go.") {
		t.Error(status)
	}
	parley.stop()

	environ = maps.Clone(environ)
	environ["PARLEY_ENCRYPTION_KEYS"] = fresh
	parley = serve(t, environ)
	if report := parley.keys(); len(report.Keys) != 1 {
		t.Errorf("%+v", report)
	}
	found := parley.call(http.MethodPost, "/api/v1/privacy-request/search", parley.login(), "application/json", `{"identities":{"email":"a@example.com"}}`)
	if !strings.Contains(found, `"external_id":"x"`) {
		t.Error(found)
	}
	if told := parley.run("config", "republish"); !strings.HasSuffix(told, " entries stand in the bucket dsr_config.\n") {
		t.Error(told)
	}
}

func TestCommandsSayWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ map[string]string
		want    string
	}{
		"no keys":     {map[string]string{"PARLEY_DATA_DIR": t.TempDir()}, "PARLEY_ENCRYPTION_KEYS"},
		"no Postgres": {map[string]string{"PARLEY_DATA_DIR": t.TempDir(), "PARLEY_ENCRYPTION_KEYS": "k:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, "no Postgres is running"},
	} {
		for _, args := range [][]string{{"keys", "status"}, {"keys", "reseal"}, {"config", "republish"}} {
			err := cli.Run(t.Context(), args, c.environ, io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %v: %v", name, args, err)
			}
		}
	}
}
