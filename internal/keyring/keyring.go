// Package keyring seals what must not be read by others: tokens, connection
// secrets and personal data, and hashes what must be found without being read.
//
// A ring has one key or more, each with an id (kid). The first key seals, all
// of them open, so keys rotate without a moment in which anything is
// unreadable: put the new key first, let the old values live out their time or
// be written again, then drop the old key. From each key one key per purpose is
// derived (HKDF-SHA256), so that a token can never be taken for a secret, even
// by mistake.
//
// A sealed value is a JWE in compact form, direct encryption with AES-256-GCM,
// its kid in the header. Nothing else is opened: a value that names another
// algorithm is refused before a key is touched.
//
// Errors say what is wrong and where, and never repeat key material, plain
// text or sealed text.
package keyring

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Purpose separates the uses of a key.
type Purpose string

// The purposes.
const (
	// Token is for access tokens and reply tokens.
	Token Purpose = "token"
	// Secret is for the secrets and OAuth settings of connections.
	Secret Purpose = "secret"
	// Vault is for personal data.
	Vault Purpose = "vault"
	// Hash is for the keyed hashes by which identities are found.
	Hash Purpose = "hash"
	// fingerprint lets an operator compare rings without showing keys.
	fingerprint Purpose = "fingerprint"
)

// keyLength is the length of every key, given or derived, in bytes.
const keyLength = 32

// Ring is a set of keys. It is safe for concurrent use and never changes.
type Ring struct {
	keys []key          // in the order given; the first seals
	byID map[string]int // kid to index in keys
	seal map[Purpose]jose.Encrypter
}

// key is what is derived from one given key; the given key itself is not kept.
type key struct {
	kid     string
	derived map[Purpose][]byte
}

func newRing(given []material) (*Ring, error) {
	ring := &Ring{byID: make(map[string]int, len(given)), seal: make(map[Purpose]jose.Encrypter)}
	for i, m := range given {
		derived, err := derive(m.secret)
		if err != nil {
			return nil, err
		}
		ring.keys = append(ring.keys, key{kid: m.kid, derived: derived})
		ring.byID[m.kid] = i
	}
	first := ring.keys[0]
	for _, p := range []Purpose{Token, Secret, Vault} {
		recipient := jose.Recipient{Algorithm: jose.DIRECT, Key: first.derived[p], KeyID: first.kid}
		encrypter, err := jose.NewEncrypter(jose.A256GCM, recipient, nil)
		if err != nil {
			return nil, fmt.Errorf("keyring: prepare sealing: %w", err)
		}
		ring.seal[p] = encrypter
	}
	return ring, nil
}

func derive(secret []byte) (map[Purpose][]byte, error) {
	derived := make(map[Purpose][]byte)
	for _, p := range []Purpose{Token, Secret, Vault, Hash, fingerprint} {
		k, err := hkdf.Key(sha256.New, secret, nil, "parley "+string(p)+" v1", keyLength)
		if err != nil {
			return nil, fmt.Errorf("keyring: derive the %s key: %w", p, err)
		}
		derived[p] = k
	}
	return derived, nil
}

// Seal encrypts plain with the first key, for one purpose.
func (r *Ring) Seal(p Purpose, plain []byte) (string, error) {
	encrypter, ok := r.seal[p]
	if !ok {
		return "", fmt.Errorf("keyring: purpose %q does not seal", p)
	}
	object, err := encrypter.Encrypt(plain)
	if err != nil {
		return "", fmt.Errorf("keyring: seal: %w", err)
	}
	return object.CompactSerialize()
}

// Open decrypts what Seal made for the same purpose, with whichever key of the
// ring sealed it. It returns ErrUnknownKey if the value names a key that the
// ring does not have, and ErrSealed for everything else that does not open.
func (r *Ring) Open(p Purpose, sealed string) ([]byte, error) {
	object, kid, err := parse(sealed)
	if err != nil {
		return nil, err
	}
	i, ok := r.byID[kid]
	if !ok {
		return nil, ErrUnknownKey
	}
	k, ok := r.keys[i].derived[p]
	if !ok {
		return nil, ErrSealed
	}
	plain, err := object.Decrypt(k)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// KIDOf returns the id of the key that sealed a value, without opening it, so
// that a rotation can find what is still sealed with an old key.
func KIDOf(sealed string) (string, error) {
	_, kid, err := parse(sealed)
	return kid, err
}

// parse accepts exactly what Seal makes. The library's own errors are not
// passed on, since they may quote the text.
func parse(sealed string) (*jose.JSONWebEncryption, string, error) {
	// Direct encryption has no encrypted key; the library would skip what stands
	// in its place.
	if _, rest, _ := strings.Cut(sealed, "."); !strings.HasPrefix(rest, ".") {
		return nil, "", ErrSealed
	}
	object, err := jose.ParseEncryptedCompact(sealed,
		[]jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return nil, "", ErrSealed
	}
	if _, compressed := object.Header.ExtraHeaders["zip"]; compressed || object.Header.KeyID == "" {
		return nil, "", ErrSealed
	}
	return object, object.Header.KeyID, nil
}

// Hashes returns the HMAC-SHA256 of data in hexadecimal, one for each key, the
// newest first. Store the first, or all; search for any.
func (r *Ring) Hashes(data string) []string {
	hashes := make([]string, 0, len(r.keys))
	for _, k := range r.keys {
		mac := hmac.New(sha256.New, k.derived[Hash])
		mac.Write([]byte(data))
		hashes = append(hashes, hex.EncodeToString(mac.Sum(nil)))
	}
	return hashes
}

// KIDs returns the ids of the keys, the sealing one first.
func (r *Ring) KIDs() []string {
	kids := make([]string, 0, len(r.keys))
	for _, k := range r.keys {
		kids = append(kids, k.kid)
	}
	return kids
}

// Fingerprint is a short value that is equal where the key is, and tells
// nothing about it: operators compare it between services. It is "" for a kid
// that the ring does not have.
func (r *Ring) Fingerprint(kid string) string {
	i, ok := r.byID[kid]
	if !ok {
		return ""
	}
	return hex.EncodeToString(r.keys[i].derived[fingerprint][:8])
}
