package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	nonceLength = 12
	tagLength   = 16
)

// encoding of the parts of a compact JWE. It refuses bits that mean nothing.
var encoding = base64.RawURLEncoding.Strict() //nolint:gochecknoglobals // never changes

// lock seals and opens with one derived key, in the one form that the ring
// writes: direct encryption, A256GCM, no compression, the kid in the header.
// Every call seals and opens a few values. The library, which has to be ready
// for every form there is, takes five times as long for it; it still reads what
// has this form in another spelling, and the tests hold both to each other.
type lock struct {
	// header as it stands in the value: encoded, and what is authenticated
	// beside the content.
	header string
	seal   cipher.AEAD // chooses its nonce
	open   cipher.AEAD
}

func newLock(kid string, key []byte) (lock, error) {
	header, err := json.Marshal(struct {
		Algorithm  jose.KeyAlgorithm      `json:"alg"`
		Encryption jose.ContentEncryption `json:"enc"`
		KID        string                 `json:"kid"`
	}{jose.DIRECT, jose.A256GCM, kid})
	if err != nil {
		return lock{}, fmt.Errorf("keyring: header: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return lock{}, fmt.Errorf("keyring: prepare sealing: %w", err)
	}
	l := lock{header: encoding.EncodeToString(header)}
	if l.seal, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return lock{}, fmt.Errorf("keyring: prepare sealing: %w", err)
	}
	if l.open, err = cipher.NewGCM(block); err != nil {
		return lock{}, fmt.Errorf("keyring: prepare opening: %w", err)
	}
	return l, nil
}

// close seals a value.
func (l lock) close(plain []byte) string {
	sealed := l.seal.Seal(make([]byte, 0, nonceLength+len(plain)+tagLength), nil, plain, []byte(l.header))
	nonce, text, tag := sealed[:nonceLength], sealed[nonceLength:len(sealed)-tagLength], sealed[len(sealed)-tagLength:]
	out := make([]byte, 0, len(l.header)+4+encoding.EncodedLen(nonceLength)+encoding.EncodedLen(len(text))+encoding.EncodedLen(tagLength))
	out = append(append(out, l.header...), ".."...)
	out = append(encoding.AppendEncode(out, nonce), '.')
	out = append(encoding.AppendEncode(out, text), '.')
	return string(encoding.AppendEncode(out, tag))
}

// unclose opens a value without its header, which was compared: the encrypted
// key, which is empty, the nonce, the text and the tag.
func (l lock) unclose(rest string) ([]byte, error) {
	rest, direct := strings.CutPrefix(rest, ".")
	nonce, rest, _ := strings.Cut(rest, ".")
	text, tag, complete := strings.Cut(rest, ".")
	if !direct || !complete || len(nonce) != encoding.EncodedLen(nonceLength) {
		return nil, ErrSealed
	}
	sealed := make([]byte, 0, nonceLength+encoding.DecodedLen(len(text))+tagLength)
	for _, part := range []string{nonce, text, tag} {
		var err error
		if sealed, err = encoding.AppendDecode(sealed, []byte(part)); err != nil {
			return nil, ErrSealed
		}
	}
	if encoding.DecodedLen(len(tag)) != tagLength || len(sealed) < nonceLength+tagLength {
		return nil, ErrSealed
	}
	body := sealed[nonceLength:]
	plain, err := l.open.Open(body[:0], sealed[:nonceLength], body, []byte(l.header))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
