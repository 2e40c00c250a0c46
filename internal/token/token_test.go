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
		`{"webhook_id":"w","request_id":"r","call_id":"c","scopes":[],"iat":1,"exp":2}`,
		`{"webhook_id":"w","request_id":"r","call_id":"c","scopes":[],"iat":1,"exp":2,"jti":""}`,
		`{"webhook_id":"w","request_id":"r","call_id":"c","scopes":[],"iat":0,"exp":1,"jti":"j"}`,
		`{"webhook_id":"w","request_id":"r","call_id":"c","scopes":[],"iat":1,"exp":2,"jti":"j","aud":"x"}`,
		`{"Webhook_id":"w","request_id":"r","call_id":"c","scopes":[],"iat":1,"exp":2,"jti":"j"}`,
		`{"webhook_id":null,"request_id":"r","call_id":"c","scopes":[],"iat":1,"exp":2,"jti":"j"}`,
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

// Clocks may differ a little.
func TestPremature(t *testing.T) {
	t.Parallel()
	for later, want := range map[time.Duration]bool{-time.Hour: false, 0: false, 5 * time.Minute: false, 5*time.Minute + time.Second: true} {
		if got := (token.Reply{IssuedAt: issued.Add(later)}).Premature(issued); got != want {
			t.Errorf("issued %s from now: %t", later, got)
		}
	}
}

// Whatever is sent as a bearer, reading never panics, and what it reads is what
// was made: a text that differs from the token may be written otherwise, in
// base64, and says the same.
func FuzzParse(f *testing.F) {
	ring, err := keyring.Parse("k1:" + strings.Repeat("A", 43) + "=") // the same in every process that fuzzes
	if err != nil {
		f.Fatal(err)
	}
	goodAccess, err := token.IssueAccess(ring, access())
	if err != nil {
		f.Fatal(err)
	}
	goodReply, err := token.IssueReply(ring, reply())
	if err != nil {
		f.Fatal(err)
	}
	foreign, err := token.IssueReply(newRing(f), reply())
	if err != nil {
		f.Fatal(err)
	}
	parts := strings.Split(goodReply, ".")
	for _, seed := range []string{
		"", "invalid", "....", strings.Repeat(".", 70_000), `{"protected":""}`, goodAccess, goodReply, foreign, goodReply[1:], goodReply + "A",
		strings.Join(parts[:4], ".") + ".", parts[0] + "...." + parts[4], parts[0] + "..AAAA." + parts[3] + "." + parts[4],
		strings.Replace(goodReply, "..", ".AAAA.", 1), goodReply + "." + parts[4], "eyJhbGciOiJub25lIn0.e30.",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := token.ReadAccess(ring, s); err == nil && !cmp.Equal(got, access()) || err != nil && !errors.Is(err, token.ErrInvalid) {
			t.Errorf("access: %+v, %v", got, err)
		}
		if got, err := token.ReadReply(ring, s); err == nil && !cmp.Equal(got, reply()) || err != nil && !errors.Is(err, token.ErrInvalid) {
			t.Errorf("reply: %+v, %v", got, err)
		}
	})
}
