package reply

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

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

// secretOf is the given key of a ring of one key.
func secretOf(t *testing.T, keys string) []byte {
	t.Helper()
	_, encoded, _ := strings.Cut(keys, ":")
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if secret, err := encoding.DecodeString(encoded); err == nil {
			return secret
		}
	}
	t.Fatal("the key is not base64")
	return nil
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

// sealed seals claims as the dispatcher would, for any purpose.
func sealed(t *testing.T, ring *keyring.Ring, purpose keyring.Purpose, c map[string]any) string {
	t.Helper()
	text, err := ring.Seal(purpose, jsonOf(t, c))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// forged encrypts claims with go-jose alone, under the key that the ring
// derives, with any encryption, algorithm and kid.
func forged(t *testing.T, key []byte, kid string, enc jose.ContentEncryption, c map[string]any) string {
	t.Helper()
	encrypter, err := jose.NewEncrypter(enc, jose.Recipient{Algorithm: jose.DIRECT, Key: key, KeyID: kid}, nil)
	if err != nil {
		t.Fatal(err)
	}
	object, err := encrypter.Encrypt(jsonOf(t, c))
	if err != nil {
		t.Fatal(err)
	}
	text, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// posted is a reply as the edge shows it to the gate.
func posted(t *testing.T) *http.Request {
	return httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/privacy-request/"+requestID+"/resume", nil)
}

// flipped changes the first bits of a part.
func flipped(part string) string {
	if part[0] == 'A' {
		return "B" + part[1:]
	}
	return "A" + part[1:]
}

func TestGate(t *testing.T) {
	t.Parallel()
	keys := generate(t)
	ring := parseRing(t, keys)
	kid, _, _ := strings.Cut(keys, ":")
	derived, err := hkdf.Key(sha256.New, secretOf(t, keys), nil, "parley token v1", 32)
	if err != nil {
		t.Fatal(err)
	}
	good := sealed(t, ring, keyring.Token, claims(nil))
	if genuine := forged(t, derived, kid, jose.A256GCM, claims(nil)); NewGate(ring, refusalsAtMost, time.Now).Check(posted(t), "resumePrivacyRequest", genuine) != nil {
		t.Fatal("the forger of this test does not know the form of a token")
	}
	access, err := token.IssueAccess(ring, token.Access{ClientID: "root", Scopes: []string{token.ScopeResume}, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(jsonOf(t, claims(nil))) + "."
	with := func(change func(map[string]any)) string { return sealed(t, ring, keyring.Token, claims(change)) }
	review := func(c map[string]any) {
		c["scopes"], c["call_id"] = []string{token.ScopeReview}, call(requestID, record.PreApproval, 3)
	}

	const resume, eligible, notEligible = "resumePrivacyRequest", "replyEligible", "replyNotEligible"
	tests := map[string]struct {
		bearer    string
		operation string
		want      string // "" passes
	}{
		"good":                      {good, resume, ""},
		"good review":               {with(review), eligible, ""},
		"good review, not eligible": {with(review), notEligible, ""},
		"several scopes":            {with(func(c map[string]any) { c["scopes"] = []string{"x", token.ScopeResume} }), resume, ""},

		"empty":              {"", resume, textForbidden},
		"garbage":            {"invalid", resume, textForbidden},
		"four dots":          {"....", resume, textForbidden},
		"access token":       {access, resume, textForbidden},
		"another key":        {sealed(t, parseRing(t, generate(t)), keyring.Token, claims(nil)), resume, textForbidden},
		"another kid":        {forged(t, derived, "other", jose.A256GCM, claims(nil)), resume, textForbidden},
		"no kid":             {forged(t, derived, "", jose.A256GCM, claims(nil)), resume, textForbidden},
		"underived key":      {forged(t, secretOf(t, keys), kid, jose.A256GCM, claims(nil)), resume, textForbidden},
		"another encryption": {forged(t, derived, kid, jose.A128CBC_HS256, claims(nil)), resume, textForbidden},
		"alg none":           {unsigned, resume, textForbidden},
		"stripped tag":       {strings.Join(parts[:4], ".") + ".", resume, textForbidden},
		"four parts":         {strings.Join(parts[:4], "."), resume, textForbidden},
		"shortened tag":      {good[:len(good)-8], resume, textForbidden},
		"changed text":       {strings.Join([]string{parts[0], parts[1], parts[2], flipped(parts[3]), parts[4]}, "."), resume, textForbidden},
		"another purpose":    {sealed(t, ring, keyring.Vault, claims(nil)), resume, textForbidden},
		"secret's purpose":   {sealed(t, ring, keyring.Secret, claims(nil)), resume, textForbidden},

		"swapped request":   {with(func(c map[string]any) { c["request_id"], c["call_id"] = otherID, call(otherID, record.Pre, 3) }), resume, textForbidden},
		"swapped call":      {with(func(c map[string]any) { c["call_id"] = call(otherID, record.Pre, 3) }), resume, textForbidden},
		"call of a webhook": {with(func(c map[string]any) { c["webhook_id"] = "pol_other" }), resume, textForbidden},
		"no call":           {with(func(c map[string]any) { delete(c, "call_id") }), resume, textForbidden},
		"bad call":          {with(func(c map[string]any) { c["call_id"] = requestID }), resume, textForbidden},
		"post webhook":      {with(func(c map[string]any) { c["call_id"] = call(requestID, record.Post, 3) }), resume, textForbidden},
		"no scope":          {with(func(c map[string]any) { c["scopes"] = []string{} }), resume, textForbidden},
		"scopes as text":    {with(func(c map[string]any) { c["scopes"] = token.ScopeResume }), resume, textForbidden},
		"no expiry":         {with(func(c map[string]any) { delete(c, "exp") }), resume, textForbidden},
		"review at resume":  {with(review), resume, textForbidden},
		"resume at review":  {good, eligible, textForbidden},
		"resume scope for a pre-approval call": {with(func(c map[string]any) {
			c["call_id"] = call(requestID, record.PreApproval, 3)
		}), resume, textForbidden},
		"unknown operation": {good, "listHalted", textForbidden},

		"expired":                 {with(func(c map[string]any) { c["exp"] = time.Now().Add(-time.Second).Unix() }), resume, textExpired},
		"expired, another's":      {with(func(c map[string]any) { c["exp"], c["request_id"] = int64(1), otherID }), resume, textForbidden},
		"expired, for the review": {with(func(c map[string]any) { review(c); c["exp"] = int64(1) }), eligible, textExpired},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := NewGate(ring, refusalsAtMost, time.Now).Check(posted(t), tt.operation, tt.bearer)
			var refusal *edge.Error
			switch {
			case tt.want == "" && err != nil:
				t.Fatalf("refused: %v", err)
			case tt.want != "" && (!errors.As(err, &refusal) || refusal.Status != http.StatusForbidden || refusal.Detail != tt.want):
				t.Fatalf("got %v, want 403 %s", err, tt.want)
			}
		})
	}
}

// A token is good until its second of expiry begins.
func TestGateClock(t *testing.T) {
	t.Parallel()
	ring := parseRing(t, generate(t))
	end := time.Unix(2_000_000_000, 0)
	bearer := sealed(t, ring, keyring.Token, claims(func(c map[string]any) { c["exp"] = end.Unix() }))
	for offset, ok := range map[time.Duration]bool{-time.Hour: true, -time.Nanosecond: true, 0: false, time.Hour: false} {
		gate := NewGate(ring, refusalsAtMost, func() time.Time { return end.Add(offset) })
		if _, err := gate.admit(bearer, requestID, wants{scope: token.ScopeResume, phase: record.Pre}); (err == nil) != ok {
			t.Errorf("at %s: %v", offset, err)
		}
	}
}

// A token outlives the rotation of the keys.
func TestGateRotation(t *testing.T) {
	t.Parallel()
	old, fresh := strings.Replace(generate(t), ":", "-old:", 1), strings.Replace(generate(t), ":", "-new:", 1)
	bearer := sealed(t, parseRing(t, old), keyring.Token, claims(nil))
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
	good := sealed(t, ring, keyring.Token, claims(nil))
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
