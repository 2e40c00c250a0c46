package callback

import (
	"net/http"
	"testing"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
)

// With a token that is not for the request in the path nobody learns whether
// that request exists, is halted or is gone: the answers are alike to the byte.
func TestRefusalsTellNothingOfTheRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	const thirdID = "pri_6f0c0000-0000-4000-8000-000000000003"
	b.put(paused())
	b.put(record.Record{ID: otherID, Status: record.Complete})
	foreign := b.resumeToken(func(r *token.Reply) { r.RequestID, r.CallID = thirdID, callOf(thirdID, record.Pre, 3) })
	for _, action := range []string{"resume", "pre-approve/eligible", "pre-approve/not-eligible"} {
		for _, bearer := range []string{foreign, b.accessToken(rootID, token.ScopeResume), "garbage"} {
			for _, id := range []string{requestID, otherID, "pri_6f0c0000-0000-4000-8000-00000000ffff", "nonsense"} {
				got := b.do(http.MethodPost, "/api/v1/privacy-request/"+id+"/"+action, bearer, `{}`)
				if got.status != http.StatusForbidden || got.body != `{"detail":"Not Authorized for this action"}` {
					t.Errorf("%s of %s: %d %s", action, id, got.status, got.body)
				}
			}
		}
	}
}

// The setting limits what one address may send in a minute; another address
// that it claims for itself, without a trusted proxy, does not help, and a good
// token is let in all the same.
func TestRefusedRepliesPerMinute(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	b.put(paused())
	for n := range refusedAtMost {
		if got := b.resume("garbage", `{}`); got.status != http.StatusForbidden {
			t.Fatalf("refusal %d: %d %s", n+1, got.status, got.body)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/privacy-request/"+requestID+"/resume", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer garbage")
	r.Header.Set("X-Forwarded-For", "192.0.2.7")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if got := b.resume(b.resumeToken(nil), `{}`); got.status != http.StatusOK {
		t.Errorf("a good token: %d %s", got.status, got.body)
	}
}
