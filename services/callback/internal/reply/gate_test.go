package reply

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
)

const (
	requestID = "pri_6f0c0000-0000-4000-8000-000000000001"
	otherID   = "pri_6f0c0000-0000-4000-8000-000000000009"
	webhookID = "pol_77aa0000-0000-4000-8000-000000000002"
)

func call(requestID string, phase record.Phase, order int) string {
	return record.WebhookCall(requestID, 1, phase, webhookID, order).String()
}

func parseRing(t *testing.T, keys string) *keyring.Ring {
	t.Helper()
	ring, err := keyring.Parse(keys)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func generate(t *testing.T) string {
	t.Helper()
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// claims are what a reply token says, as it is sealed.
func claims(change func(map[string]any)) map[string]any {
	c := map[string]any{
		"webhook_id": webhookID, "request_id": requestID, "call_id": call(requestID, record.Pre, 3),
		"scopes": []string{token.ScopeResume}, "jti": "one", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	if change != nil {
		change(c)
	}
	return c
}

func jsonOf(t *testing.T, v any) []byte {
	t.Helper()
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// sealed seals claims as the dispatcher would.
func sealed(t *testing.T, ring *keyring.Ring, c map[string]any) string {
	t.Helper()
	text, err := ring.Seal(keyring.Token, jsonOf(t, c))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// posted is a reply as the edge shows it to the gate.
func posted(t *testing.T) *http.Request {
	return httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/privacy-request/"+requestID+"/resume", nil)
}

// A token is good until its second of expiry begins.
func TestGateClock(t *testing.T) {
	t.Parallel()
	ring := parseRing(t, generate(t))
	end := time.Unix(2_000_000_000, 0)
	bearer := sealed(t, ring, claims(func(c map[string]any) { c["exp"] = end.Unix() }))
	for offset, ok := range map[time.Duration]bool{-time.Hour: true, -time.Nanosecond: true, 0: false, time.Hour: false} {
		gate := NewGate(ring, refusalsAtMost, func() time.Time { return end.Add(offset) })
		if _, err := gate.admit(bearer, requestID, wants{scope: token.ScopeResume, phase: record.Pre}); (err == nil) != ok {
			t.Errorf("at %s: %v", offset, err)
		}
	}
}

// Nor is it good long before it was made; clocks may differ a little.
func TestGateRefusesTokensFromTheFuture(t *testing.T) {
	t.Parallel()
	ring := parseRing(t, generate(t))
	made := time.Unix(2_000_000_000, 0)
	bearer := sealed(t, ring, claims(func(c map[string]any) { c["iat"], c["exp"] = made.Unix(), made.Add(time.Hour).Unix() }))
	for offset, ok := range map[time.Duration]bool{-time.Hour: false, -5*time.Minute - time.Second: false, -5 * time.Minute: true, 0: true} {
		gate := NewGate(ring, refusalsAtMost, func() time.Time { return made.Add(offset) })
		if _, err := gate.admit(bearer, requestID, wants{scope: token.ScopeResume, phase: record.Pre}); (err == nil) != ok {
			t.Errorf("at %s: %v", offset, err)
		}
	}
}

// A token outlives the rotation of the keys.
func TestGateRotation(t *testing.T) {
	t.Parallel()
	old, fresh := strings.Replace(generate(t), ":", "-old:", 1), strings.Replace(generate(t), ":", "-new:", 1)
	bearer := sealed(t, parseRing(t, old), claims(nil))
	for keys, ok := range map[string]bool{fresh + "," + old: true, fresh: false} {
		_, err := NewGate(parseRing(t, keys), refusalsAtMost, time.Now).admit(bearer, requestID, wants{scope: token.ScopeResume, phase: record.Pre})
		if (err == nil) != ok {
			t.Errorf("with %d keys: %v", strings.Count(keys, ",")+1, err)
		}
	}
}

// refusalsAtMost is what the gates of these tests tell one sender.
const refusalsAtMost = 5

// Whoever sends bad tokens is slowed down; a good token passes all the same.
func TestGateCountsRefusals(t *testing.T) {
	t.Parallel()
	ring := parseRing(t, generate(t))
	now := time.Now()
	gate := NewGate(ring, refusalsAtMost, func() time.Time { return now })
	status := func(bearer string) int {
		err := gate.Check(posted(t), "resumePrivacyRequest", bearer)
		if err == nil {
			return http.StatusOK
		}
		var refusal *edge.Error
		if !errors.As(err, &refusal) {
			t.Fatal(err)
		}
		if refusal.Status == http.StatusTooManyRequests && refusal.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		return refusal.Status
	}
	good := sealed(t, ring, claims(nil))
	for n := range refusalsAtMost {
		if got := status("bad"); got != http.StatusForbidden {
			t.Fatalf("refusal %d: %d", n+1, got)
		}
	}
	if got := status("bad"); got != http.StatusTooManyRequests {
		t.Fatalf("one too many: %d", got)
	}
	for range 2 * refusalsAtMost {
		if got := status(good); got != http.StatusOK {
			t.Fatalf("a good token: %d", got)
		}
	}
	now = now.Add(refusalsWindow)
	if got := status("bad"); got != http.StatusForbidden {
		t.Fatalf("in the next window: %d", got)
	}
}

func TestRefusalsAreBySender(t *testing.T) {
	t.Parallel()
	now := time.Now()
	tests := []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::2", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
	}
	for _, tt := range tests {
		r := newRefusals(refusalsAtMost)
		for range refusalsAtMost {
			r.count(netip.MustParseAddr(tt.a), now)
		}
		if _, tooMany := r.count(netip.MustParseAddr(tt.b), now); tooMany != tt.same {
			t.Errorf("%s after %s: %t", tt.b, tt.a, tooMany)
		}
	}
	r := newRefusals(refusalsAtMost)
	if _, tooMany := r.count(netip.Addr{}, now); tooMany {
		t.Error("a sender without an address")
	}
}
