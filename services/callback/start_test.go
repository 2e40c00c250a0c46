package callback

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
)

// The service waits for the others, says for what, and refuses nothing for
// good meanwhile.
func TestStartsBeforeTheOthers(t *testing.T) {
	t.Parallel()
	b := begin(t)
	b.run()
	b.eventually(func() bool {
		got := b.do(http.MethodGet, "/ready", "", "")
		return got.status == http.StatusServiceUnavailable && strings.Contains(got.body, "DSR_EVENTS: ") && strings.Contains(got.body, "does not exist yet")
	})
	if got := b.do(http.MethodGet, "/health", "", ""); got.status != http.StatusOK {
		t.Fatalf("health: %+v", got)
	}
	if got := b.resume(b.resumeToken(nil), `{}`); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Fatalf("a resume: %+v", got)
	}
	if got := b.resume("invalid", `{}`); got.status != http.StatusForbidden {
		t.Fatalf("a bad token: %+v", got)
	}
	b.ensure()
	b.ready()
	b.orchestrate(accept)
	b.put(paused())
	if got := b.resume(b.resumeToken(nil), `{}`); got.status != http.StatusOK {
		t.Fatalf("a resume: %+v", got)
	}
	metrics := b.do(http.MethodGet, "/metrics", "", "").body
	for _, name := range []string{"parley_callback_replies_total", "parley_callback_reply_seconds", "parley_callback_halts_kept_total"} {
		if !strings.Contains(metrics, name) {
			t.Errorf("no metric %s", name)
		}
	}
}

// eventually waits for something that has no signal.
func (b *bundle) eventually(is func() bool) {
	b.t.Helper()
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	deadline := time.After(time.Minute)
	for !is() {
		select {
		case <-ticks.C:
		case <-deadline:
			b.t.Fatal("it did not become so")
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]string{"PARLEY_ENCRYPTION_KEYS": keys, "PARLEY_ROOT_CLIENT_ID": "root"}
	s, err := process.Load[Settings](good)
	if err != nil || s.IdentityTTL != 168*time.Hour || s.DelayTimeout != 60*time.Hour || s.RefusedRepliesPerMinute != 120 {
		t.Fatalf("%+v, %v", s, err)
	}
	for name, change := range map[string]map[string]string{
		"PARLEY_ENCRYPTION_KEYS":               {"PARLEY_ENCRYPTION_KEYS": ""},
		"PARLEY_ENCRYPTION_KEYS takes":         {"PARLEY_ENCRYPTION_KEYS": "short:AAAA"},
		"PARLEY_ROOT_CLIENT_ID":                {"PARLEY_ROOT_CLIENT_ID": ""},
		"PARLEY_IDENTITY_TTL":                  {"PARLEY_IDENTITY_TTL": "59h"},
		"PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT": {"PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT": "soon"},
		"PARLEY_REFUSED_REPLIES_PER_MINUTE":    {"PARLEY_REFUSED_REPLIES_PER_MINUTE": "0"},
	} {
		environ := map[string]string{}
		for k, v := range good {
			environ[k] = v
		}
		for k, v := range change {
			environ[k] = v
		}
		_, err := process.Load[Settings](environ)
		if err == nil || !strings.HasPrefix(err.Error(), name) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
