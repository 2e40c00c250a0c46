package readmodel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel/db"
)

// Batch is what one transaction projects.
type Batch struct {
	Records []*record.Record
	// stored are records as the bucket has them. They are decoded only where the
	// database does not have them yet.
	stored []stored
	// Unreadable is told of what is left out of stored.
	Unreadable func(id string, err error)
	// values are the records that were decoded: what was JSON is not made JSON
	// again.
	values map[*record.Record]jsontext.Value
	// Removed are requests whose records are gone.
	Removed []string
	Entries []Entry
	Calls   []CallFact
	// Feed, Position and SeenAt say how far a feed has come with this batch;
	// Feed is "" for what is applied inline.
	Feed     string
	Position uint64
	SeenAt   time.Time
}

// Project writes a batch: all of it or nothing. Statements are sent together,
// and answered together: what one of them says decides nothing of the next.
func (s *Store) Project(ctx context.Context, b Batch) error {
	if err := s.usable(); err != nil {
		return err
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer conn.Release()
	if err := b.decode(ctx, db.New(conn)); err != nil {
		return unavailable(err)
	}
	rows, err := s.encode(b)
	if err != nil {
		return err
	}
	statements := new(queue)
	if err := write(ctx, db.New(statements), b, rows); err != nil {
		return err
	}
	if err := statements.send(ctx, conn); err != nil {
		return unavailable(err)
	}
	s.awaited.tell(b)
	return nil
}

// encoded are the rows of a batch as the JSON that the statements take.
type encoded struct{ requests, entries, calls []byte }

func (s *Store) encode(b Batch) (encoded, error) {
	requests, err := s.requestRows(b)
	if err != nil {
		return encoded{}, err
	}
	// One order for all writers: what two of them insert, neither has while it
	// waits for the other.
	slices.SortFunc(b.Entries, func(a, b Entry) int { return cmp.Compare(a.FactID, b.FactID) })
	slices.SortFunc(b.Calls, func(a, b CallFact) int { return cmp.Compare(a.FactID, b.FactID) })
	entries, err := asRows(b.Entries)
	if err != nil {
		return encoded{}, err
	}
	calls, err := asRows(b.Calls)
	if err != nil {
		return encoded{}, err
	}
	return encoded{requests: requests, entries: entries, calls: calls}, nil
}

func write(ctx context.Context, q *db.Queries, b Batch, rows encoded) error {
	var errs []error
	if rows.requests != nil {
		errs = append(errs, q.ProjectRequests(ctx, rows.requests))
	}
	if rows.entries != nil {
		errs = append(errs, q.ProjectLogEntries(ctx, rows.entries))
	}
	if rows.calls != nil {
		errs = append(errs, q.ProjectCallFacts(ctx, rows.calls))
	}
	if len(b.Removed) > 0 {
		errs = append(errs, q.RemoveRequests(ctx, b.Removed), q.RemoveLogEntries(ctx, b.Removed), q.RemoveCallFacts(ctx, b.Removed))
	}
	if b.Feed != "" && !b.SeenAt.IsZero() {
		saw := db.SawFeedParams{Name: b.Feed, Position: int64(b.Position), SeenAt: b.SeenAt} //nolint:gosec // a stream does not get that long
		errs = append(errs, q.SawFeed(ctx, saw))
	}
	return errors.Join(errs...)
}

// requestRow has the columns of the table requests.
type requestRow struct {
	ID                   string         `json:"id"`
	Revision             uint64         `json:"revision"`
	Epoch                string         `json:"epoch"`
	Status               string         `json:"status"`
	ExternalID           *string        `json:"external_id"`
	PolicyKey            string         `json:"policy_key"`
	Actions              []string       `json:"actions"`
	Source               *string        `json:"source"`
	Location             *string        `json:"location"`
	IdentityHashes       []string       `json:"identity_hashes"`
	CustomFieldHashes    []string       `json:"custom_field_hashes"`
	CreatedAt            time.Time      `json:"created_at"`
	UpdatedAt            time.Time      `json:"updated_at"`
	StartedProcessingAt  *time.Time     `json:"started_processing_at"`
	FinishedProcessingAt *time.Time     `json:"finished_processing_at"`
	ReviewedAt           *time.Time     `json:"reviewed_at"`
	PausedAt             *time.Time     `json:"paused_at"`
	CanceledAt           *time.Time     `json:"canceled_at"`
	DueDate              *time.Time     `json:"due_date"`
	DeletedAt            *time.Time     `json:"deleted_at"`
	AwaitedCall          *string        `json:"awaited_call"`
	Deadline             *time.Time     `json:"deadline"`
	Record               jsontext.Value `json:"record"`
}

// requestRows keeps the newest of each request, since a statement cannot
// change a row twice.
func (s *Store) requestRows(b Batch) ([]byte, error) {
	newest := make(map[string]*record.Record, len(b.Records))
	for _, rec := range b.Records {
		if old, ok := newest[rec.ID]; !ok || old.Revision < rec.Revision {
			newest[rec.ID] = rec
		}
	}
	rows := make([]requestRow, 0, len(newest))
	for _, id := range slices.Sorted(maps.Keys(newest)) { // one order of locks for all writers
		row, err := s.rowOf(newest[id], b.values[newest[id]])
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return asRows(rows)
}

func (s *Store) rowOf(rec *record.Record, whole jsontext.Value) (requestRow, error) {
	if whole == nil {
		var err error
		if whole, err = rec.Encode(); err != nil {
			return requestRow{}, fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	row := requestRow{
		ID: rec.ID, Revision: rec.Revision, Epoch: rec.Epoch, Status: string(rec.Status),
		ExternalID: searched(s.unseal(rec.Submission.SealedExternalID)), PolicyKey: rec.Submission.PolicyKey, Actions: actions(rec.Policy),
		Source: rec.Submission.Source, Location: rec.Submission.Location,
		IdentityHashes:    hashes(rec.Submission.IdentityHashes),
		CustomFieldHashes: hashes(rec.Submission.CustomFieldHashes),
		CreatedAt:         rec.CreatedAt, UpdatedAt: rec.UpdatedAt,
		StartedProcessingAt:  first(rec.StartedAt, rec.Submission.StartedProcessingAt),
		FinishedProcessingAt: first(rec.FinishedAt, rec.Submission.FinishedAt),
		ReviewedAt:           rec.ReviewedAt, PausedAt: rec.PausedAt, CanceledAt: rec.CanceledAt,
		DueDate: rec.DueDate, DeletedAt: rec.DeletedAt, Record: whole,
	}
	if rec.Wait != nil && !rec.Wait.Until.IsZero() {
		row.AwaitedCall, row.Deadline = &rec.Wait.CallID, &rec.Wait.Until
	}
	return row, nil
}

// externalIDAtMost is how many characters of an external id are searched and
// sorted by: an index takes no more than a third of a page.
const externalIDAtMost = 255

func searched(externalID *string) *string {
	if externalID == nil {
		return nil
	}
	short := begin(*externalID)
	return &short
}

func begin(externalID string) string {
	if characters := []rune(externalID); len(characters) > externalIDAtMost {
		return string(characters[:externalIDAtMost])
	}
	return externalID
}

func actions(p record.Policy) []string {
	out := []string{}
	for _, rule := range p.Rules {
		if !slices.Contains(out, rule.ActionType) {
			out = append(out, rule.ActionType)
		}
	}
	return out
}

func hashes(fields map[string][]string) []string {
	out := []string{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, fields[name]...)
	}
	return out
}

// first is in UTC: the database knows no zone that is more than 15 hours off, and
// a caller may have named one.
func first(times ...*time.Time) *time.Time {
	for _, t := range times {
		if t != nil {
			u := t.UTC()
			return &u
		}
	}
	return nil
}

func asRows[T any](rows []T) ([]byte, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	// A record is written as the bucket has it, whatever that is.
	data, err := json.Marshal(rows, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	if err != nil {
		return nil, fmt.Errorf("%w: they cannot be encoded: %w", ErrRefused, err)
	}
	return data, nil
}
