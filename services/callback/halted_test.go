package callback

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// From the fact of a pause to the list, and from the end of its time to the
// fact that says so.
func TestHaltedFromPauseToExpiry(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	call := callOf(requestID, record.Pre, 3)
	r := paused()
	r.Wait.Until = time.Now().Add(2 * time.Second).UTC()
	b.put(r)
	e, err := events.New(events.SourceOrchestrator, events.RequestPaused, requestID+".4", requestID, time.Now(), events.RequestData{CallID: call, Until: &r.Wait.Until})
	if err != nil {
		t.Fatal(err)
	}
	if err := events.Publish(t.Context(), b.js, e); err != nil {
		t.Fatal(err)
	}
	expired := receive(t, b.facts)
	if expired.Type() != events.CallbackExpired || dataOf(t, expired).CallID != call || expired.ID() != call+".expired" {
		t.Fatalf("fact: %v", expired)
	}
}

func (b *bundle) halted(query, bearer string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, "/api/v1/halted"+query, bearer, "")
}

func TestHaltedPages(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	root := b.accessToken(rootID, "privacy-request:read")
	if got := b.halted("", root); got.status != http.StatusOK || got.body != `{"items":[],"total":0,"page":1,"size":50,"pages":0}` {
		t.Fatalf("empty: %+v", got)
	}
	bucket := b.bucket(topology.BucketHalted)
	since := time.Date(2026, 5, 1, 8, 0, 0, 250000000, time.UTC)
	for n := range 5 {
		value := fmt.Sprintf(`{"call_id":%q,"request_id":%q,"webhook_id":%q,"webhook_key":"prep","webhook_name":"Prep","since":%q,"until":%q}`,
			callOf(requestID, record.Pre, n), requestID, webhookID, since.Format(time.RFC3339Nano), since.Add(time.Duration(n)*time.Hour).Format(time.RFC3339Nano))
		if _, err := bucket.Create(t.Context(), callOf(requestID, record.Pre, n), []byte(value), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	got := b.halted("?page=1&size=1", root)
	want := `{"items":[{"privacy_request_id":"` + requestID + `","call_id":"` + callOf(requestID, record.Pre, 0) + `","webhook_id":"` + webhookID +
		`","webhook_key":"prep","webhook_name":"Prep","since":"2026-05-01T08:00:00.250000Z","until":"2026-05-01T08:00:00.250000Z"}],"total":5,"page":1,"size":1,"pages":5}`
	if got.status != http.StatusOK || got.body != want {
		t.Fatalf("got %s\nwant %s", got.body, want)
	}
	for query, calls := range map[string][]int{"": {0, 1, 2, 3, 4}, "?size=2": {0, 1}, "?page=2&size=2": {2, 3}, "?page=3&size=2": {4}, "?page=4&size=2": {}, "?page=9000000000000000000&size=100": {}} {
		var page struct {
			Items []struct {
				CallID string `json:"call_id"`
			} `json:"items"`
			Total int `json:"total"`
		}
		got := b.halted(query, root)
		if err := json.Unmarshal([]byte(got.body), &page); err != nil || page.Total != 5 || len(page.Items) != len(calls) {
			t.Errorf("%q: %+v (%v)", query, got, err)
			continue
		}
		for i, n := range calls {
			if page.Items[i].CallID != callOf(requestID, record.Pre, n) {
				t.Errorf("%q: item %d is %s", query, i, page.Items[i].CallID)
			}
		}
	}
	for _, query := range []string{"?page=0", "?size=101", "?size=x"} {
		if got := b.halted(query, root); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, `"loc":["query",`) {
			t.Errorf("%q: %+v", query, got)
		}
	}
	if got := b.do(http.MethodGet, "/v1/halted/", root, ""); got.status != http.StatusOK {
		t.Errorf("alias: %+v", got)
	}
}

func TestHaltedAuthorization(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	reader := b.accessToken("reader", "privacy-request:read")
	if got := b.halted("", reader); got.status < 500 {
		t.Errorf("before config has been there: %+v", got)
	}
	if err := topology.EnsureConfig(t.Context(), b.js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	store := catalog.NewStore(b.bucket(topology.BucketConfig))
	for id, scopes := range map[string][]string{"reader": {"privacy-request:read"}, "writer": {"privacy-request:create"}} {
		client := catalog.Client{Entry: catalog.Entry{Version: 1}, ID: id, Scopes: scopes}
		if _, err := store.Put(t.Context(), catalog.ClientKey(id), client); err != nil {
			t.Fatal(err)
		}
	}
	b.eventually(func() bool { return b.halted("", reader).status == http.StatusOK })
	tests := []struct {
		name, bearer string
		status       int
	}{
		{"reader", reader, http.StatusOK},
		{"root", b.accessToken(rootID, "privacy-request:read"), http.StatusOK},
		{"another scope", b.accessToken("writer", "privacy-request:create"), http.StatusForbidden},
		{"a scope that was taken away", b.accessToken("writer", "privacy-request:read"), http.StatusForbidden},
		{"unknown client", b.accessToken("nobody", "privacy-request:read"), http.StatusForbidden},
		{"reply token", b.resumeToken(nil), http.StatusForbidden},
		{"no token", "", http.StatusUnauthorized},
	}
	for _, tt := range tests {
		if got := b.halted("", tt.bearer); got.status != tt.status {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}
