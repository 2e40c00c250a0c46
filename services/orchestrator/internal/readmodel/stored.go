package readmodel

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel/db"
)

// stored is a record as the bucket has it, of which only the revision was read.
type stored struct {
	id       string
	revision uint64
	value    jsontext.Value
}

// errNoRevision is returned for what the bucket has and is no record.
var errNoRevision = errors.New("readmodel: a record without a revision")

// addStored adds a record as the bucket has it.
func (b *Batch) addStored(id string, value []byte) error {
	revision, err := revisionOf(value)
	if err != nil {
		return err
	}
	b.stored = append(b.stored, stored{id: id, revision: revision, value: value})
	return nil
}

// revisionOf reads no further than to the revision, which is the second member
// of a record.
func revisionOf(value []byte) (uint64, error) {
	d := jsontext.NewDecoder(bytes.NewReader(value))
	if _, err := d.ReadToken(); err != nil { // the begin of the object
		return 0, fmt.Errorf("%w: %w", errNoRevision, err)
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return 0, fmt.Errorf("%w: %w", errNoRevision, err)
		}
		if name.String() != "revision" {
			if err := d.SkipValue(); err != nil {
				return 0, fmt.Errorf("%w: %w", errNoRevision, err)
			}
			continue
		}
		number, err := d.ReadToken()
		if err != nil || number.Kind() != '0' {
			return 0, errNoRevision
		}
		return number.Uint()
	}
	return 0, errNoRevision
}

// decode reads what the database does not have, and passes over the rest: of
// each transition the bucket has two messages of one revision, the second with
// the outbox cleared, and the first one of a submission is shown before the feed
// comes to it.
//
// It is safe because nothing is remembered. The database is asked each time, and
// what is passed over is what the statement that projects would leave as it is,
// by the same comparison. Whoever wants a request projected again sets its
// revision back, or deletes its row, before it has the feed begin again, so it
// is decoded when it comes. Both statements go over one connection: a database
// that is exchanged in between breaks it, and both are made again.
func (b *Batch) decode(ctx context.Context, q *db.Queries) error {
	if len(b.stored) == 0 {
		return nil
	}
	ids := make([]string, len(b.stored))
	for i, s := range b.stored {
		ids[i] = s.id
	}
	rows, err := q.RequestRevisions(ctx, ids)
	if err != nil {
		return fmt.Errorf("ask what is shown: %w", err)
	}
	shown := make(map[string]uint64, len(rows))
	for _, r := range rows {
		shown[r.ID] = uint64(r.Revision) //nolint:gosec // it was one
	}
	b.values = make(map[*record.Record]jsontext.Value, len(b.stored))
	for _, s := range b.stored {
		if revision, some := shown[s.id]; some && revision >= s.revision {
			continue
		}
		rec, err := record.Decode(s.value)
		if err != nil {
			if b.Unreadable != nil {
				b.Unreadable(s.id, err)
			}
			continue
		}
		b.Records, b.values[rec] = append(b.Records, rec), s.value
	}
	return nil
}
