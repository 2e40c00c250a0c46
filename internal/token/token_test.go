package token_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/token"
)

var issued = time.Date(2026, 5, 1, 8, 0, 0, 250_000_000, time.UTC)

func newRing(t testing.TB) *keyring.Ring {
	t.Helper()
	key, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func access() token.Access {
	return token.Access{
		ClientID: "client", Scopes: []string{"webhook:read"}, Roles: []string{"viewer"},
		IssuedAt: issued, ExpiresAt: issued.Truncate(time.Second).Add(time.Hour),
	}
}

func reply() token.Reply {
	return token.Reply{
		WebhookID: "pol_1", RequestID: "pri_1", CallID: "pri_1.1.pre.pol_1.1", ID: "nonce",
		Scopes: []string{token.ScopeResume}, IssuedAt: issued.Truncate(time.Second),
		ExpiresAt: issued.Truncate(time.Second).Add(time.Hour),
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	ring, want := newRing(t), access()
	s, err := token.IssueAccess(ring, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := token.ReadAccess(ring, s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Expired(got.ExpiresAt.Add(-time.Second)) || !got.Expired(got.ExpiresAt) {
		t.Error("expiry")
	}
	if _, err := token.ReadReply(ring, s); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("read as a reply token: %v", err)
	}
	if _, err := token.ReadAccess(newRing(t), s); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("read with another ring: %v", err)
	}
}

func TestAccessClaims(t *testing.T) {
	t.Parallel()
	ring := newRing(t)
	s, err := token.IssueAccess(ring, token.Access{ClientID: "c", IssuedAt: issued, ExpiresAt: issued})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"client-id": "c", "iat": "2026-05-01T08:00:00.250000+00:00", "exp": float64(issued.Unix()),
		"scopes": []any{}, "roles": []any{}, "systems": []any{}, "connections": []any{}, "monitors": []any{},
	}
	if diff := cmp.Diff(want, claims(t, ring, s)); diff != "" {
		t.Error(diff)
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	ring, want := newRing(t), reply()
	s, err := token.IssueReply(ring, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := token.ReadReply(ring, s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Expired(got.ExpiresAt.Add(-time.Second)) || !got.Expired(got.ExpiresAt) {
		t.Error("expiry")
	}
	if _, err := token.ReadAccess(ring, s); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("read as an access token: %v", err)
	}
	wantClaims := map[string]any{
		"webhook_id": "pol_1", "request_id": "pri_1", "call_id": "pri_1.1.pre.pol_1.1", "jti": "nonce",
		"scopes": []any{"privacy-request:resume"}, "iat": float64(issued.Unix()), "exp": float64(issued.Unix() + 3600),
	}
	if diff := cmp.Diff(wantClaims, claims(t, ring, s)); diff != "" {
		t.Error(diff)
	}
}

func claims(t *testing.T, ring *keyring.Ring, s string) map[string]any {
	t.Helper()
	plain, err := ring.Open(keyring.Token, s)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(plain, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// Sealed by the right ring, and still not a token.
func TestRefusesOtherContent(t *testing.T) {
	t.Parallel()
	ring := newRing(t)
	for _, plain := range []string{
		``, `null`, `{}`, `[]`, `"text"`, `not json`,
		`{"client-id":1,"iat":"2026-05-01T08:00:00+00:00","exp":1}`,
		`{"client-id":"","iat":"2026-05-01T08:00:00+00:00","exp":1}`,
		`{"client-id":"c","iat":"2026-05-01T08:00:00+00:00"}`,
		`{"client-id":"c","iat":"yesterday","exp":1}`,
		`{"client-id":"c","webhook_id":"w","iat":"2026-05-01T08:00:00+00:00","exp":1}`,
		`{"webhook_id":"w","request_id":"r","exp":1,"iat":1}`,
		`{"webhook_id":"w","request_id":"r","call_id":"c","iat":1}`,
		`{"webhook_id":"w","request_id":"r","call_id":"c","iat":1,"exp":"1"}`,
		`{"webhook_id":"w","request_id":"r","call_id":"c","iat":1,"exp":1,"client-id":"c"}`,
		`{"webhook_id":"w","scopes":["privacy-request:resume"],"iat":"2026-05-01T08:00:00"}`,
	} {
		sealed, err := ring.Seal(keyring.Token, []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token.ReadAccess(ring, sealed); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("access %s: %v", plain, err)
		}
		if _, err := token.ReadReply(ring, sealed); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("reply %s: %v", plain, err)
		}
	}
}

// Whatever is sent as a bearer, reading says ErrInvalid and never panics.
func FuzzParse(f *testing.F) {
	ring := newRing(f)
	good, err := token.IssueAccess(newRing(f), access())
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "invalid", "....", good, good[1:], strings.Repeat(".", 70_000), `{"protected":""}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := token.ReadAccess(ring, s); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("access: %v", err)
		}
		if _, err := token.ReadReply(ring, s); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("reply: %v", err)
		}
	})
}
