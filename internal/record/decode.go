package record

import (
	"fmt"

	"github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/parley-dsr/parley/internal/stored"
)

// Decode reads a record as the bucket and the read model have it. Its error is
// stored.ErrUnreadable, which repeats nothing of the record.
func Decode(data []byte) (*Record, error) {
	r := new(Record)
	if err := stored.Decode(data, r); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return r, nil
}

// Encode writes a record, byte for byte as encoding/json would, and in less
// time (docs/adr/0021).
func (r *Record) Encode() ([]byte, error) {
	data, err := json.Marshal(r, jsonv1.DefaultOptionsV1())
	if err != nil {
		return nil, fmt.Errorf("record: encode: %w", err)
	}
	return data, nil
}
