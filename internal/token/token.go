// Package token makes and reads the two kinds of token: the access token of an
// API client and the reply token of a call.
//
// Both are sealed with the keyring, so that only Parley can make or read them,
// and both travel as bearer tokens, so one could be sent where the other is
// wanted. Each reader therefore accepts only its own kind: the members that one
// kind must have are members that the other must not have.
//
// Reading checks the seal and the shape, nothing else. Whether a token has
// expired is a question of the caller, since the answer is worded differently
// for the two kinds; so are scopes, clients and requests. Every failure to read
// is ErrInvalid, whatever was sent.
package token

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-dsr/parley/internal/keyring"
)

// Scopes of reply tokens.
const (
	// ScopeResume allows to resume a halted request.
	ScopeResume = "privacy-request:resume"
	// ScopeReview allows to answer a pre-approval call.
	ScopeReview = "privacy-request:review"
)

// ErrInvalid says that a text is not a token of the kind that was asked for.
var ErrInvalid = errors.New("token: invalid")

// maxLength bounds what is decrypted at all. Access tokens list the scopes of
// their client and stay far below it.
const maxLength = 64 << 10

func seal(r *keyring.Ring, claims any) (string, error) {
	plain, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("token: encode: %w", err)
	}
	sealed, err := r.Seal(keyring.Token, plain)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return sealed, nil
}

func open(r *keyring.Ring, s string) ([]byte, error) {
	if len(s) > maxLength {
		return nil, ErrInvalid
	}
	plain, err := r.Open(keyring.Token, s)
	if err != nil {
		return nil, ErrInvalid
	}
	return plain, nil
}
