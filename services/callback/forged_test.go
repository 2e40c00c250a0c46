package callback

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// forger makes tokens with go-jose alone, from the key of the settings, as one
// could who knows the documents, or has one key too many.
type forger struct {
	t       *testing.T
	kid     string
	given   []byte // the key of the settings
	derived []byte // the key for tokens
}

func newForger(t *testing.T, keys string) forger {
	t.Helper()
	kid, encoded, _ := strings.Cut(keys, ":")
	given, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	f := forger{t: t, kid: kid, given: given}
	f.derived = f.purpose("token")
	return f
}

func (f forger) purpose(name string) []byte {
	f.t.Helper()
	key, err := hkdf.Key(sha256.New, f.given, nil, "parley "+name+" v1", 32)
	if err != nil {
		f.t.Fatal(err)
	}
	return key
}

// jwe encrypts claims with any algorithm, key and header.
func (f forger) jwe(enc jose.ContentEncryption, to jose.Recipient, options *jose.EncrypterOptions, claims any) *jose.JSONWebEncryption {
	f.t.Helper()
	encrypter, err := jose.NewEncrypter(enc, to, options)
	if err != nil {
		f.t.Fatal(err)
	}
	object, err := encrypter.Encrypt(f.json(claims))
	if err != nil {
		f.t.Fatal(err)
	}
	return object
}

func (f forger) compact(enc jose.ContentEncryption, to jose.Recipient, claims any) string {
	return f.written(f.jwe(enc, to, nil, claims))
}

func (f forger) written(object *jose.JSONWebEncryption) string {
	f.t.Helper()
	text, err := object.CompactSerialize()
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

// token is how Parley itself makes one.
func (f forger) token(claims any) string {
	return f.compact(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: f.derived, KeyID: f.kid}, claims)
}

func (f forger) json(v any) []byte {
	f.t.Helper()
	encoded, err := json.Marshal(v)
	if err != nil {
		f.t.Fatal(err)
	}
	return encoded
}

func part(v []byte) string { return base64.RawURLEncoding.EncodeToString(v) }

// jws is a token that is signed, or not signed, in place of sealed.
func (f forger) jws(header string, sign bool, claims any) string {
	text := part([]byte(header)) + "." + part(f.json(claims)) + "."
	if sign {
		mac := hmac.New(sha256.New, f.derived)
		mac.Write([]byte(text[:len(text)-1]))
		text += part(mac.Sum(nil))
	}
	return text
}

// envelopes are texts that are not sealed as tokens are, around claims that
// would be good.
func (f forger) envelopes(claims map[string]any) map[string]string {
	direct := func(key []byte, kid string) jose.Recipient {
		return jose.Recipient{Algorithm: jose.DIRECT, Key: key, KeyID: kid}
	}
	good, another := strings.Split(f.token(claims), "."), strings.Split(f.token(claims), ".")
	with := func(i int, text string) string {
		parts := append([]string{}, good...)
		parts[i] = text
		return strings.Join(parts, ".")
	}
	stranger := make([]byte, 32)
	_, _ = rand.Read(stranger)
	compressed := f.jwe(jose.A256GCM, direct(f.derived, f.kid), &jose.EncrypterOptions{Compression: jose.DEFLATE}, claims)
	critical := f.jwe(jose.A256GCM, direct(f.derived, f.kid), (&jose.EncrypterOptions{}).WithHeader("crit", []string{"exp"}), claims)
	header := func(alg, enc, kid string) string {
		return part(f.json(map[string]string{"alg": alg, "enc": enc, "kid": kid}))
	}
	return map[string]string{
		"garbage": "invalid", "dots": "....", "dots alone and more": strings.Repeat(".", 9), "a very long text": strings.Repeat("A", 60_000),
		"two of them": strings.Join(good, ".") + "." + strings.Join(good, "."), "JSON in place of compact": part([]byte(compressed.FullSerialize())),
		"the claims in the clear": part(f.json(claims)),

		"wrong key":                       f.compact(jose.A256GCM, direct(stranger, f.kid), claims),
		"the given key, not derived":      f.compact(jose.A256GCM, direct(f.given, f.kid), claims),
		"key of the purpose secret":       f.compact(jose.A256GCM, direct(f.purpose("secret"), f.kid), claims),
		"key of the purpose vault":        f.compact(jose.A256GCM, direct(f.purpose("vault"), f.kid), claims),
		"key of the purpose hash":         f.compact(jose.A256GCM, direct(f.purpose("hash"), f.kid), claims),
		"other kid":                       f.compact(jose.A256GCM, direct(f.derived, "other"), claims),
		"no kid":                          f.compact(jose.A256GCM, direct(f.derived, ""), claims),
		"kid with another name around it": with(0, header("dir", "A256GCM", f.kid+" ")),
		"other enc, A128CBC-HS256":        f.compact(jose.A128CBC_HS256, direct(f.derived, f.kid), claims),
		"other enc, A192GCM":              f.compact(jose.A192GCM, direct(f.derived[:24], f.kid), claims),
		"other enc, A128GCM":              f.compact(jose.A128GCM, direct(f.derived[:16], f.kid), claims),
		"other enc, only in the header":   with(0, header("dir", "A128CBC-HS256", f.kid)),
		"other alg, A256KW":               f.compact(jose.A256GCM, jose.Recipient{Algorithm: jose.A256KW, Key: f.derived, KeyID: f.kid}, claims),
		"other alg, A256GCMKW":            f.compact(jose.A256GCM, jose.Recipient{Algorithm: jose.A256GCMKW, Key: f.derived, KeyID: f.kid}, claims),
		"other alg, PBES2":                f.compact(jose.A256GCM, jose.Recipient{Algorithm: jose.PBES2_HS256_A128KW, Key: f.derived, KeyID: f.kid, PBES2Count: 1000}, claims),
		"alg none, encrypted":             with(0, header("none", "A256GCM", f.kid)),
		"alg none, enc none":              part([]byte(`{"alg":"none","enc":"none","kid":"`+f.kid+`"}`)) + "..." + part(f.json(claims)) + ".",
		"alg none, a JWS":                 f.jws(`{"alg":"none","kid":"`+f.kid+`"}`, false, claims),
		"alg None, a JWS":                 f.jws(`{"alg":"None","kid":"`+f.kid+`"}`, false, claims),
		"alg HS256, a JWS with the key":   f.jws(`{"alg":"HS256","kid":"`+f.kid+`"}`, true, claims),
		"compressed":                      f.written(compressed),
		"with a critical header":          f.written(critical),
		"no header":                       with(0, ""),
		"an encrypted key, where none is": with(1, part(f.derived)),
		"no nonce":                        with(2, ""),
		"a short nonce":                   with(2, good[2][:8]),
		"the nonce of another token":      with(2, another[2]),
		"changed text":                    with(3, flipped(good[3])),
		"the text of another token":       with(3, another[3]),
		"stripped tag":                    with(4, ""),
		"stripped tag, and its dot":       strings.Join(good[:4], "."),
		"shortened tag":                   with(4, good[4][:16]),
		"changed tag":                     with(4, flipped(good[4])),
		"the tag of another token":        with(4, another[4]),
	}
}

// flipped changes the first bits of a part.
func flipped(part string) string {
	if part[0] == 'A' {
		return "B" + part[1:]
	}
	return "A" + part[1:]
}

// contents are claims that are sealed well and are not those of the reply.
func contents(good map[string]any, other map[string]any) map[string]map[string]any {
	with := func(change func(c map[string]any)) map[string]any {
		c := maps.Clone(good)
		change(c)
		return c
	}
	set := func(name string, value any) map[string]any { return with(func(c map[string]any) { c[name] = value }) }
	scope, _ := good["scopes"].([]string)
	phase := record.Pre
	if scope[0] == token.ScopeReview {
		phase = record.PreApproval
	}
	tests := map[string]map[string]any{
		"no claims":                         {},
		"swapped request":                   with(func(c map[string]any) { c["request_id"], c["call_id"] = otherID, callOf(otherID, phase, 3) }),
		"swapped request alone":             set("request_id", otherID),
		"swapped call, of another request":  set("call_id", callOf(otherID, phase, 3)),
		"swapped call, of another webhook":  set("call_id", record.WebhookCall(requestID, 1, phase, "pol_other", 3).String()),
		"swapped call, after the execution": set("call_id", callOf(requestID, record.Post, 3)),
		"swapped webhook":                   set("webhook_id", "pol_other"),
		"a call that is none":               set("call_id", requestID),
		"the other kind of token":           other,
		"the other kind's scope":            set("scopes", other["scopes"]),
		"the other kind's call":             set("call_id", other["call_id"]),
		"no scope":                          set("scopes", []string{}),
		"another scope":                     set("scopes", []string{"privacy-request:read"}),
		"scope with more around it":         set("scopes", []string{scope[0] + ":all"}),
		"scopes as one text":                set("scopes", scope[0]),
		"issued in the future":              set("iat", time.Now().Add(10*time.Minute).Unix()),
		"issued in a far future":            set("iat", int64(1)<<62),
		"issued before time began":          set("iat", -1),
		"times as texts":                    with(func(c map[string]any) { c["iat"], c["exp"] = "2026-05-01T08:00:00", "2126-05-01T08:00:00" }),
		"end as a text":                     set("exp", "99999999999"),
		"end beyond numbers":                set("exp", 1e30),
		"no end, as null":                   set("exp", nil),
		"extra claim":                       set("nbf", time.Now().Add(time.Hour).Unix()),
		"extra claim of an access token":    set("client-id", rootID),
		"a claim written otherwise":         with(func(c map[string]any) { c["Exp"] = c["exp"]; delete(c, "exp") }),
		"an access token's claims": {
			"client-id": rootID, "scopes": good["scopes"], "roles": []string{"owner"}, "iat": time.Now().Format(time.RFC3339), "exp": good["exp"],
		},
		"an access token's and its own": with(func(c map[string]any) { c["client-id"], c["roles"] = rootID, []string{"owner"} }),
		"those of the existing system":  {"webhook_id": webhookID, "scopes": good["scopes"], "iat": time.Now().Format("2006-01-02T15:04:05")},
	}
	for name := range good {
		tests["without "+name] = with(func(c map[string]any) { delete(c, name) })
		tests[name+" as null"] = set(name, nil)
	}
	return tests
}

// Forged tokens of every kind: none gets in, all are told the same, and nothing
// of a request is changed or published. The same claims in the form in which
// Parley makes tokens get in, once.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	var genuine atomic.Bool
	b := begin(t)
	b.change = func(s *Settings) { s.RefusedRepliesPerMinute = 10_000 }
	b.ensure()
	b.run()
	b.ready()
	b.orchestrate(func(e events.Event) *work.Answer {
		if !genuine.Load() {
			t.Errorf("a forged reply was published: %s", e.ID())
		}
		return accept(e)
	})
	f := newForger(t, b.keys)
	claims := func(scope, callID string) map[string]any {
		return map[string]any{
			"webhook_id": webhookID, "request_id": requestID, "call_id": callID, "scopes": []string{scope},
			"jti": "one", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		}
	}
	resume := claims(token.ScopeResume, callOf(requestID, record.Pre, 3))
	review := claims(token.ScopeReview, callOf(requestID, record.PreApproval, 1))
	const body = `{"derived_identity":{"email":"intruder@example.com"}}`
	for _, reply := range []struct {
		path        string
		good, other map[string]any
		waits       record.Record
	}{
		{"/api/v1/privacy-request/" + requestID + "/resume", resume, review, paused()},
		{eligible, review, resume, asked()},
		{notEligible, review, resume, asked()},
	} {
		b.put(reply.waits)
		forged := f.envelopes(reply.good)
		for name, c := range contents(reply.good, reply.other) {
			forged[name] = f.token(c)
		}
		forged["access token"] = b.accessToken(rootID, token.ScopeResume, token.ScopeReview)
		for name, bearer := range forged {
			got := b.do(http.MethodPost, reply.path, "Bearer "+bearer, body)
			if got.status != http.StatusForbidden || got.body != `{"detail":"Not Authorized for this action"}` {
				t.Errorf("%s with %s: %d %s", reply.path, name, got.status, got.body)
			}
		}
		expired := maps.Clone(reply.good)
		expired["iat"], expired["exp"] = time.Now().Add(-time.Hour).Unix(), time.Now().Add(-time.Second).Unix()
		if got := b.do(http.MethodPost, reply.path, f.token(expired), body); got.status != http.StatusForbidden || got.body != `{"detail":"Webhook token expired"}` {
			t.Errorf("%s, expired: %d %s", reply.path, got.status, got.body)
		}
		for key, err := range b.bucket(topology.BucketIdentities).Keys(t.Context(), ">") {
			t.Fatalf("%s: a forged reply left %s in the vault (%v)", reply.path, key, err)
		}
		genuine.Store(true)
		if got := b.do(http.MethodPost, reply.path, f.token(reply.good), `{}`); got.status != http.StatusOK {
			t.Errorf("%s: the forger of this test does not know the form of a token: %d %s", reply.path, got.status, got.body)
		}
		receive(t, b.facts)
		genuine.Store(false)
	}
	if strings.Contains(b.log.String(), "intruder") {
		t.Error("an identity stands in the log")
	}
}
