package config_test

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/rotation"
	"github.com/parley-dsr/parley/internal/topology"
	config "github.com/parley-dsr/parley/services/config"
)

// deps are those of a command beside the running service.
func (b *bundle) deps() process.Deps {
	return process.Deps{
		NATS: b.nc, Logger: slog.New(slog.NewTextHandler(b.t.Output(), nil)), Registry: prometheus.NewRegistry(),
		Clock: time.Now, Version: "test",
	}
}

func (b *bundle) settings(s config.Settings) config.Settings {
	s.DatabaseURL = b.database
	return s
}

// keyUse gives, by place, how many values a key has sealed.
func (b *bundle) keyUse(s config.Settings, kid string) (map[string]int, []*rotation.Place) {
	b.t.Helper()
	_, places, err := config.KeyUse(b.t.Context(), b.settings(s), b.deps())
	if err != nil {
		b.t.Fatal(err)
	}
	values := map[string]int{}
	for _, p := range places {
		if n := p.Keys[kid].Values; n > 0 {
			values[p.Name] = n
		}
	}
	return values, places
}

func secondKey(t *testing.T, s config.Settings) (during, after config.Settings, oldKID, newKID string) {
	t.Helper()
	fresh, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	during, after = s, s
	during.EncryptionKeys, after.EncryptionKeys = fresh+","+s.EncryptionKeys, fresh
	oldKID, _, _ = strings.Cut(s.EncryptionKeys, ":")
	newKID, _, _ = strings.Cut(fresh, ":")
	return during, after, oldKID, newKID
}

func TestKeysRotateWhileTheServiceRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.settingsUsed
	during, after, oldKID, newKID := secondKey(t, before)
	for _, key := range []string{"a", "b", "c"} {
		b.hook(key)
	}
	b.call("PUT", "/connection/a/oauth", `{"grant_type":"client_credentials","token_url":"https://idp.example.com/t","client_id":"c","client_secret":"topsecret"}`).want(t, http.StatusOK)
	b.call("PATCH", "/dsr/policy", `[{"name":"P","rules":[{"name":"R","action_type":"erasure","masking_strategy":{"strategy":"hmac","configuration":{"key":"masking"}}}]}]`).want(t, http.StatusOK)
	b.stop()

	b = start(t, b.database, b.nc, during)
	b.ready()
	b.root = b.login(rootID, rootSecret)
	sealed, places := b.keyUse(during, oldKID)
	want := map[string]int{
		"connection secrets": 3, "OAuth settings": 1, "masking configurations": 1,
		"entries of dsr_config, in the database": 4, "entries of dsr_config, published": 4,
	}
	for place, n := range want {
		if sealed[place] != n {
			t.Errorf("%s: %d, want %d", place, sealed[place], n)
		}
	}
	i := slices.IndexFunc(places, func(p *rotation.Place) bool { return p.Name == "access tokens" })
	if until := places[i].Keys[oldKID].Until; time.Until(until) < 191*time.Hour || time.Until(until) > 192*time.Hour {
		t.Errorf("access tokens of the old key end at %v", until)
	}

	tag := b.call("GET", "/connection/a", nil).header.Get("ETag")
	// Secrets change while they are sealed again.
	changed := make(chan answer, 1)
	go func() { changed <- b.call("PATCH", "/connection/b/secret", `{"authorization":"Bearer changed"}`) }()
	done, err := config.Reseal(t.Context(), b.settings(during), b.deps())
	if err != nil {
		t.Fatal(err)
	}
	(<-changed).want(t, http.StatusOK)
	if done[1].Done != 1 || done[2].Done != 1 || done[0].Left != 0 {
		t.Errorf("resealed %+v", done)
	}
	if sealed, _ = b.keyUse(during, oldKID); len(sealed) != 0 {
		t.Errorf("the old key still seals %v", sealed)
	}
	if sealed, _ = b.keyUse(during, newKID); sealed["connection secrets"] != 3 {
		t.Errorf("the new key seals %v", sealed)
	}
	if now := b.call("GET", "/connection/a", nil).header.Get("ETag"); now != tag {
		t.Error("the tag changed although nothing did that can be seen")
	}
	b.stop()

	b = start(t, b.database, b.nc, after)
	b.ready()
	b.root = b.login(rootID, rootSecret)
	b.call("GET", "/connection/a", nil).want(t, http.StatusOK)
	b.call("PATCH", "/connection/a/secret", `{"authorization":"Bearer new"}`).want(t, http.StatusOK)
	b.call("PATCH", "/connection/a/oauth", `{"client_secret":"other"}`).want(t, http.StatusOK)
	b.call("PATCH", "/connection/b/secret", `{"headers":{"X-Key":"v"}}`).want(t, http.StatusOK)
	audit := b.call("GET", "/config/audit?size=100", nil).want(t, http.StatusOK)
	if !slices.Contains(names(audit, "client_id"), any("parley keys reseal")) || strings.Contains(audit.body, "topsecret") {
		t.Error(audit)
	}
	known, _, err := config.KeyUse(t.Context(), b.settings(after), b.deps())
	if err != nil {
		t.Fatal(err)
	}
	if len(known) != 2 || known[0].KID != newKID || !known[0].Seals || known[1].KID != oldKID || known[1].InRing || known[1].SealedUntil.IsZero() {
		t.Errorf("the keys: %+v", known)
	}
}

func TestRepublish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hook("c")
	b.call("PATCH", "/dsr/policy", `[{"name":"P"}]`).want(t, http.StatusOK)
	b.call("PATCH", "/config", `{"execution":{"require_manual_request_approval":true}}`).want(t, http.StatusOK)
	was, err := b.policy("p")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.js.DeleteKeyValue(t.Context(), topology.BucketConfig); err != nil {
		t.Fatal(err)
	}
	n, err := config.Republish(t.Context(), b.settings(b.settingsUsed), b.deps())
	if err != nil || n < 5 {
		t.Fatal(n, err)
	}
	now, err := b.policy("p")
	if err != nil || now.Version < was.Version || now.Policy.ID != was.Policy.ID {
		t.Errorf("%+v, %v", now, err)
	}
	settings, err := b.catalog().Settings(t.Context())
	if err != nil || !*settings.RequireManualRequestApproval {
		t.Errorf("%+v, %v", settings, err)
	}
	b.call("PATCH", "/dsr/policy", `[{"name":"Q"}]`).want(t, http.StatusOK)
	if _, err := b.policy("q"); err != nil {
		t.Error("the running service does not publish any more:", err)
	}
}

// A command does not know with which settings the service was started.
func TestRepublishLeavesTheSettingsOfTheService(t *testing.T) {
	t.Parallel()
	b := setupWith(t, func(s *config.Settings) { s.RequireManualApproval = true })
	visitor := b.settings(b.settingsUsed)
	visitor.RequireManualApproval = false
	if _, err := config.Republish(t.Context(), visitor, b.deps()); err != nil {
		t.Fatal(err)
	}
	if err := b.js.DeleteKeyValue(t.Context(), topology.BucketConfig); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Republish(t.Context(), visitor, b.deps()); err != nil {
		t.Fatal(err)
	}
	settings, err := b.catalog().Settings(t.Context())
	if err != nil || !*settings.RequireManualRequestApproval {
		t.Errorf("%+v, %v", settings, err)
	}
}

// Whoever took a key out too early can see what there is, and set it again.
func TestSecretsWhoseKeyIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hook("c")
	b.call("PUT", "/connection/c/oauth", `{"grant_type":"client_credentials","token_url":"https://idp.example.com/t","client_id":"c","client_secret":"s"}`).want(t, http.StatusOK)
	_, after, oldKID, _ := secondKey(t, b.settingsUsed)
	b.stop()
	b = start(t, b.database, b.nc, after)
	b.ready()
	b.root = b.login(rootID, rootSecret)
	if list := b.call("GET", "/connection", nil).want(t, http.StatusOK); names(list, "secrets")[0] != nil {
		t.Error(list)
	}
	const gone = "What is stored cannot be opened: its encryption key is gone. Replace all of it with PUT."
	b.call("PATCH", "/connection/c/secret", `{"authorization":"x"}`).wantDetail(t, http.StatusConflict, gone)
	b.call("PATCH", "/connection/c/oauth", `{"client_secret":"x"}`).wantDetail(t, http.StatusConflict, gone)
	if done, err := config.Reseal(t.Context(), b.settings(after), b.deps()); err != nil || done[0].Left != 1 || done[1].Left != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	b.call("PUT", "/connection/c/secret", `{"url":"https://www.example.com","authorization":"x"}`).want(t, http.StatusOK)
	b.call("PUT", "/connection/c/oauth", `{"grant_type":"client_credentials","token_url":"https://idp.example.com/t","client_id":"c","client_secret":"s"}`).want(t, http.StatusOK)
	if sealed, _ := b.keyUse(after, oldKID); len(sealed) != 0 {
		t.Errorf("the key that is gone is still needed for %v", sealed)
	}
}
