package keyring

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// maxKID is the greatest length of a key id.
const maxKID = 64

// material is one key as it was given.
type material struct {
	kid    string
	secret []byte
}

// Parse reads PARLEY_ENCRYPTION_KEYS: "kid:base64(32 bytes)[,kid:…]". Kids are
// made of letters, digits, '_', '-' and '.'. An error names the position of the
// entry and what is wrong with it, never its text: a key whose kid was
// forgotten would otherwise stand in a log.
func Parse(s string) (*Ring, error) {
	if strings.TrimSpace(s) == "" {
		return nil, fmt.Errorf("%w: no keys; want kid:base64(32 bytes)[,kid:…]", ErrKeys)
	}
	entries := strings.Split(s, ",")
	given := make([]material, 0, len(entries))
	seen := make(map[string]int, len(entries))
	for i, entry := range entries {
		m, err := parseEntry(strings.TrimSpace(entry))
		if err != nil {
			return nil, fmt.Errorf("%w: key %d of %d: %w", ErrKeys, i+1, len(entries), err)
		}
		if earlier, repeated := seen[m.kid]; repeated {
			return nil, fmt.Errorf("%w: key %d of %d: same kid as key %d", ErrKeys, i+1, len(entries), earlier)
		}
		seen[m.kid] = i + 1
		given = append(given, m)
	}
	return newRing(given)
}

func parseEntry(entry string) (material, error) {
	kid, encoded, found := strings.Cut(entry, ":")
	switch {
	case entry == "":
		return material{}, errEmptyEntry
	case !found:
		return material{}, errNoColon
	case !validKID(kid):
		return material{}, errKID
	}
	secret, err := decodeBase64(encoded)
	if err != nil {
		return material{}, errBase64
	}
	if len(secret) != keyLength {
		return material{}, fmt.Errorf("the key has %d bytes, want %d", len(secret), keyLength)
	}
	return material{kid: kid, secret: secret}, nil
}

// decodeBase64 takes both alphabets, with or without padding.
func decodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "-_") {
		return base64.RawURLEncoding.DecodeString(s)
	}
	return base64.RawStdEncoding.DecodeString(s)
}

func validKID(kid string) bool {
	if kid == "" || len(kid) > maxKID {
		return false
	}
	return strings.IndexFunc(kid, func(c rune) bool {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return false
		}
		return c != '_' && c != '-' && c != '.'
	}) < 0
}

// Generate makes one new key with a kid of its own, in the form that Parse
// takes. Put it in front of the keys in use to rotate.
func Generate() (string, error) {
	random := make([]byte, 4+keyLength)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("keyring: generate: %w", err)
	}
	return "k" + hex.EncodeToString(random[:4]) + ":" + base64.StdEncoding.EncodeToString(random[4:]), nil
}
