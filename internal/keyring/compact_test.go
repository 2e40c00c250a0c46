package keyring

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func ringOfTwo(t testing.TB) *Ring {
	t.Helper()
	var keys []string
	for range 2 {
		key, err := Generate()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	ring, err := Parse(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// The library opens what we seal.
func TestTheLibraryOpensOurs(t *testing.T) {
	t.Parallel()
	ring := ringOfTwo(t)
	for _, length := range []int{0, 1, 2, 3, 15, 16, 17, 1000, 100_000} {
		plain := bytes.Repeat([]byte("x"), length)
		sealed, err := ring.Seal(Vault, plain)
		if err != nil {
			t.Fatal(err)
		}
		object, kid, err := parse(sealed)
		if err != nil || kid != ring.keys[0].kid {
			t.Fatalf("%d bytes: kid %q, %v", length, kid, err)
		}
		if got, err := object.Decrypt(ring.keys[0].derived[Vault]); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: the library opened %d, %v", length, len(got), err)
		}
		if got, err := ring.Open(Vault, sealed); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: opened %d, %v", length, len(got), err)
		}
	}
}

// We open what the library seals, with the key at any place, also where the
// header has more members or others, as an earlier version may have written it.
func TestWeOpenTheLibrarys(t *testing.T) {
	t.Parallel()
	ring := ringOfTwo(t)
	for _, k := range ring.keys {
		for _, options := range []*jose.EncrypterOptions{nil, (&jose.EncrypterOptions{}).WithType("JWT")} {
			encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: k.derived[Token], KeyID: k.kid}, options)
			if err != nil {
				t.Fatal(err)
			}
			object, err := encrypter.Encrypt([]byte("plain"))
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := object.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			header, _, _ := strings.Cut(sealed, ".")
			if _, ours := ring.byHeader[header]; ours != (options == nil) {
				t.Errorf("the header is ours: %v", ours)
			}
			if got, err := ring.Open(Token, sealed); err != nil || string(got) != "plain" {
				t.Errorf("opened %q, %v", got, err)
			}
		}
	}
}

// Any change of any character is refused, and so is any other number of parts.
func TestChangedValues(t *testing.T) {
	t.Parallel()
	ring := ringOfTwo(t)
	sealed, err := ring.Seal(Secret, []byte("plain text of some length"))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(changed string) {
		t.Helper()
		if _, err := ring.Open(Secret, changed); !errors.Is(err, ErrSealed) && !errors.Is(err, ErrUnknownKey) {
			t.Errorf("opened %q: %v", changed, err)
		}
	}
	for i := range len(sealed) {
		for _, c := range []byte("A.-_=\n\r \x00") {
			if sealed[i] != c {
				refused(sealed[:i] + string(c) + sealed[i+1:])
			}
			refused(sealed[:i] + string(c) + sealed[i:])
		}
		refused(sealed[:i] + sealed[i+1:])
		refused(sealed[:i])
	}
	for _, end := range []string{".", "\n", "=", "A", ".A"} {
		refused(sealed + end)
	}
}

func FuzzOpen(f *testing.F) {
	ring := ringOfTwo(f)
	sealed, err := ring.Seal(Token, []byte("plain"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(ring.keys[0].locks[Token].header + "....")
	f.Add(ring.keys[1].locks[Token].header + "..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		plain, err := ring.Open(Token, text)
		if err == nil && text != sealed {
			t.Errorf("opened %q as %q", text, plain)
		}
	})
}
