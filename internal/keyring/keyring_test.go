package keyring_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/parley-dsr/parley/internal/keyring"
)

func newKey(t testing.TB) string {
	t.Helper()
	key, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRing(t testing.TB, keys ...string) *keyring.Ring {
	t.Helper()
	ring, err := keyring.Parse(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestSealOpen(t *testing.T) {
	t.Parallel()
	ring := newRing(t, newKey(t))
	for _, purpose := range []keyring.Purpose{keyring.Token, keyring.Secret, keyring.Vault} {
		sealed, err := ring.Seal(purpose, []byte("plain"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(sealed, ".") != 4 {
			t.Errorf("%s: not compact", purpose)
		}
		plain, err := ring.Open(purpose, sealed)
		if err != nil || string(plain) != "plain" {
			t.Errorf("%s: opened %q, %v", purpose, plain, err)
		}
		if again, _ := ring.Seal(purpose, []byte("plain")); again == sealed {
			t.Errorf("%s: sealing twice gives the same", purpose)
		}
	}
}

func TestPurposesAreSeparate(t *testing.T) {
	t.Parallel()
	ring := newRing(t, newKey(t))
	sealed, err := ring.Seal(keyring.Token, []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	for _, purpose := range []keyring.Purpose{keyring.Secret, keyring.Vault, keyring.Hash, "other"} {
		if _, err := ring.Open(purpose, sealed); !errors.Is(err, keyring.ErrSealed) {
			t.Errorf("opened for %s: %v", purpose, err)
		}
	}
	for _, purpose := range []keyring.Purpose{keyring.Hash, "other"} {
		if _, err := ring.Seal(purpose, nil); err == nil {
			t.Errorf("sealed for %s", purpose)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	oldKey, newerKey := newKey(t), newKey(t)
	before, during, after := newRing(t, oldKey), newRing(t, newerKey, oldKey), newRing(t, newerKey)

	sealed, err := before.Seal(keyring.Vault, []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := during.Open(keyring.Vault, sealed); err != nil || string(plain) != "plain" {
		t.Errorf("during rotation: %q, %v", plain, err)
	}
	if _, err := after.Open(keyring.Vault, sealed); !errors.Is(err, keyring.ErrUnknownKey) {
		t.Errorf("after rotation: %v", err)
	}

	again, err := during.Seal(keyring.Vault, []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	kid, err := keyring.KIDOf(again)
	if err != nil || kid != during.KIDs()[0] || kid != after.KIDs()[0] {
		t.Errorf("sealed with %q, %v", kid, err)
	}
	if _, err := before.Open(keyring.Vault, again); !errors.Is(err, keyring.ErrUnknownKey) {
		t.Errorf("a ring without the new key: %v", err)
	}
}

func TestHashesFindOldValues(t *testing.T) {
	t.Parallel()
	oldKey, newerKey := newKey(t), newKey(t)
	before, during := newRing(t, oldKey), newRing(t, newerKey, oldKey)
	stored, search := before.Hashes("a@example.com"), during.Hashes("a@example.com")
	if len(stored) != 1 || len(search) != 2 || search[1] != stored[0] || search[0] == search[1] {
		t.Errorf("stored %v, search %v", stored, search)
	}
	if slices.Contains(search, before.Hashes("b@example.com")[0]) {
		t.Error("different data, same hash")
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	first, second := newKey(t), newKey(t)
	one, both := newRing(t, first), newRing(t, second, first)
	kid := one.KIDs()[0]
	if f := one.Fingerprint(kid); len(f) != 16 || f != both.Fingerprint(kid) || f == both.Fingerprint(both.KIDs()[0]) {
		t.Errorf("fingerprint %q", f)
	}
	if f := one.Fingerprint("unknown"); f != "" {
		t.Errorf("of an unknown key: %q", f)
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	const secret = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
	for name, c := range map[string]struct{ in, want string }{
		"nothing":           {"", "no keys"},
		"blank":             {"  ", "no keys"},
		"forgotten kid":     {secret, "key 1 of 1: no colon"},
		"key as kid":        {secret + ":a", "key 1 of 1: the kid must be"},
		"no kid":            {":" + secret, "key 1 of 1: the kid must be"},
		"long kid":          {strings.Repeat("k", 65) + ":" + secret, "the kid must be"},
		"bad base64":        {"a:" + secret + ",b:%%%", "key 2 of 2: the key is not base64"},
		"short":             {"a:" + secret[:20], "key 1 of 1: the key has 15 bytes, want 32"},
		"duplicate":         {"a:" + secret + ",b:" + secret + ",a:" + secret, "key 3 of 3: same kid as key 1"},
		"trailing comma":    {"a:" + secret + ",", "key 2 of 2: the entry is empty"},
		"space in the kid":  {"a b:" + secret, "the kid must be"},
		"quote around both": {`"a:` + secret + `"`, "the kid must be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := keyring.Parse(c.in)
			if !errors.Is(err, keyring.ErrKeys) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if !strings.Contains(err.Error(), "PARLEY_ENCRYPTION_KEYS") || strings.Contains(err.Error(), secret[:10]) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestParseTakesEveryBase64(t *testing.T) {
	t.Parallel()
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = 0xfb
	}
	var prints []string
	for _, encoding := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		prints = append(prints, newRing(t, " a:"+encoding.EncodeToString(raw)+" ").Fingerprint("a"))
	}
	if len(slices.Compact(prints)) != 1 {
		t.Errorf("fingerprints %v", prints)
	}
}

// Whatever is not made by Seal is refused, also when it is well-formed and
// encrypted with the right key.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	ring := newRing(t, newKey(t))
	good, err := ring.Seal(keyring.Token, []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	foreign := func(options jose.EncrypterOptions, recipient jose.Recipient, enc jose.ContentEncryption) string {
		encrypter, err := jose.NewEncrypter(enc, recipient, &options)
		if err != nil {
			t.Fatal(err)
		}
		object, err := encrypter.Encrypt([]byte("plain"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := object.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	key := make([]byte, 32)
	for name, sealed := range map[string]string{
		"empty":         "",
		"garbage":       "garbage",
		"four dots":     "....",
		"cut":           good[:len(good)-4],
		"other body":    strings.Join([]string{parts[0], parts[1], parts[2], "AAAA", parts[4]}, "."),
		"json form":     `{"protected":"e30"}`,
		"encrypted key": strings.Join([]string{parts[0], "AAAA", parts[2], parts[3], parts[4]}, "."),
		"no kid":        foreign(jose.EncrypterOptions{}, jose.Recipient{Algorithm: jose.DIRECT, Key: key}, jose.A256GCM),
		"wrapped key":   foreign(jose.EncrypterOptions{}, jose.Recipient{Algorithm: jose.A256KW, Key: key, KeyID: ring.KIDs()[0]}, jose.A256GCM),
		"other enc":     foreign(jose.EncrypterOptions{}, jose.Recipient{Algorithm: jose.DIRECT, Key: key, KeyID: ring.KIDs()[0]}, jose.A128CBC_HS256),
		"other key":     foreign(jose.EncrypterOptions{}, jose.Recipient{Algorithm: jose.DIRECT, Key: key, KeyID: ring.KIDs()[0]}, jose.A256GCM),
		"compressed":    foreign(jose.EncrypterOptions{Compression: jose.DEFLATE}, jose.Recipient{Algorithm: jose.DIRECT, Key: key, KeyID: ring.KIDs()[0]}, jose.A256GCM),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if plain, err := ring.Open(keyring.Token, sealed); !errors.Is(err, keyring.ErrSealed) {
				t.Errorf("opened %q, %v", plain, err)
			}
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	ring := newRing(b, newKey(b))
	plain := []byte(strings.Repeat("x", 300))
	for b.Loop() {
		if _, err := ring.Seal(keyring.Token, plain); err != nil {
			b.Fatal(err)
		}
	}
}
