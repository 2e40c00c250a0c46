// Package stored reads the JSON that this project has written itself: what lies
// in buckets and what services send each other. It takes the decoder that is
// fastest, and reads everything that encoding/json would have read of it: within
// what callers gave, which is kept as it came, names may stand twice and texts
// need not be UTF-8. Only the names of members have to be as they were written,
// which they are.
//
// What comes from outside is not for this package.
package stored

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrUnreadable is returned for what is not the JSON that was expected. It says
// where that is noticed, and repeats no value.
var ErrUnreadable = errors.New("stored: cannot be read")

// Decode reads a value of the type of into, which is a pointer to an empty one.
func Decode(data []byte, into any) error {
	err := json.Unmarshal(data, into, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err == nil {
		return nil
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return fmt.Errorf("%w as %v: byte %d", ErrUnreadable, semantic.GoType, semantic.ByteOffset)
	}
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		return fmt.Errorf("%w: byte %d", ErrUnreadable, syntactic.ByteOffset)
	}
	return ErrUnreadable
}
