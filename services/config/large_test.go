package config_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// TestTooLargeToPublish: what NATS would not take is refused before it is
// stored.
func TestTooLargeToPublish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hook("one")
	before := b.call("GET", "/connection/one", nil).want(t, http.StatusOK)
	secrets := func(bytes int) map[string]any {
		return map[string]any{
			"url": "https://example.com", "authorization": "a", "headers": map[string]string{"X": strings.Repeat("v", bytes)},
		}
	}
	want := regexp.MustCompile(`^Too large: with this change, connection one would take 1\d{6} bytes as it is stored, encrypted and encoded\. 921600 are allowed\. Nothing was changed\.$`)
	for _, method := range []string{"PUT", "PATCH"} {
		refused := b.call(method, "/connection/one/secret", secrets(850_000))
		if text, _ := refused.field("detail").(string); refused.status != http.StatusUnprocessableEntity || !want.MatchString(text) {
			t.Errorf("%s: %d %.300s", method, refused.status, refused.body)
		}
	}
	after := b.call("GET", "/connection/one", nil).want(t, http.StatusOK)
	if after.body != before.body || after.header.Get("ETag") != before.header.Get("ETag") {
		t.Errorf("something was changed: %.300s", after.body)
	}
	b.call("PUT", "/connection/one/secret", secrets(500_000)).want(t, http.StatusOK)
	b.hook("two")
}

// TestStartsWithTooLargeEntry: an entry that is stored and that NATS does not
// take, as of a server that took more once, holds up nothing else.
func TestStartsWithTooLargeEntry(t *testing.T) {
	t.Parallel()
	nc, _ := testbed.NATS(t)
	database, settings := testbed.Postgres(t), testSettings(t)
	first := start(t, database, nc, settings)
	first.ready()
	first.root = first.login(rootID, rootSecret)
	first.hook("one")
	first.stop()

	db, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(t.Context(), `UPDATE connections SET sealed_secrets = repeat('x', 1100000) WHERE key = 'one'`)
	if closed := db.Close(t.Context()); err != nil || closed != nil {
		t.Fatal(err, closed)
	}

	second := start(t, database, nc, settings)
	second.ready()
	second.root = second.login(rootID, rootSecret)
	second.hook("two")
	second.call("PUT", "/connection/one/secret", `{"url":"https://example.com","authorization":"a"}`).want(t, http.StatusOK)
}
