package record

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// ErrUnreadable is returned for what is not the JSON of a record. It says where
// that is noticed and repeats nothing of it.
var ErrUnreadable = errors.New("record: cannot be read")

// Decode reads a record as the bucket and the read model have it. Whatever moves
// a request, or shows it, reads its record, so this takes the decoder that is
// fastest (docs/adr/0021).
func Decode(data []byte) (*Record, error) {
	r := new(Record)
	err := json.Unmarshal(data, r)
	if err == nil {
		return r, nil
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return nil, fmt.Errorf("%w: at %q", ErrUnreadable, semantic.JSONPointer)
	}
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		return nil, fmt.Errorf("%w: after %d bytes", ErrUnreadable, syntactic.ByteOffset)
	}
	return nil, ErrUnreadable
}

// Encode writes a record, byte for byte as encoding/json would.
func (r *Record) Encode() ([]byte, error) {
	data, err := json.Marshal(r, jsonv1.DefaultOptionsV1())
	if err != nil {
		return nil, fmt.Errorf("record: encode: %w", err)
	}
	return data, nil
}
