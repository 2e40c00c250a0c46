package readmodel

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel/db"
)

// Batch is what one transaction projects.
type Batch struct {
	Records []*record.Record
	// values are records as they were read: what was JSON is not made JSON
	// again.
	values map[*record.Record]json.RawMessage
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

// addValue adds a record as the bucket has it.
func (b *Batch) addValue(value []byte) error {
	rec := new(record.Record)
	if err := json.Unmarshal(value, rec); err != nil {
		return fmt.Errorf("readmodel: decode record: %w", err)
	}
	if b.values == nil {
		b.values = map[*record.Record]json.RawMessage{}
	}
	b.Records, b.values[rec] = append(b.Records, rec), value
	return nil
}

// Project writes a batch: all of it or nothing.
func (s *Store) Project(ctx context.Context, b Batch) error {
	if err := s.usable(); err != nil {
		return err
	}
	rows, err := s.encode(b)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		return write(ctx, s.queries.WithTx(tx), b, rows)
	})
	if err == nil {
		s.awaited.tell(b.Records)
	}
	return unavailable(err)
}

// encoded are the rows of a batch as the JSON that the statements take.
type encoded struct{ requests, entries, calls []byte }

func (s *Store) encode(b Batch) (encoded, error) {
	requests, err := s.requestRows(b)
	if err != nil {
		return encoded{}, err
	}
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
	if rows.requests != nil {
		if _, err := q.ProjectRequests(ctx, rows.requests); err != nil {
			return fmt.Errorf("project requests: %w", err)
		}
	}
	if rows.entries != nil {
		if err := q.ProjectLogEntries(ctx, rows.entries); err != nil {
			return fmt.Errorf("project log entries: %w", err)
		}
	}
	if rows.calls != nil {
		if err := q.ProjectCallFacts(ctx, rows.calls); err != nil {
			return fmt.Errorf("project call facts: %w", err)
		}
	}
	if len(b.Removed) > 0 {
		if err := remove(ctx, q, b.Removed); err != nil {
			return err
		}
	}
	if b.Feed != "" && !b.SeenAt.IsZero() {
		saw := db.SawFeedParams{Name: b.Feed, Position: int64(b.Position), SeenAt: b.SeenAt} //nolint:gosec // a stream does not get that long
		if err := q.SawFeed(ctx, saw); err != nil {
			return fmt.Errorf("note the feed: %w", err)
		}
	}
	return nil
}

func remove(ctx context.Context, q *db.Queries, ids []string) error {
	if err := q.RemoveRequests(ctx, ids); err != nil {
		return fmt.Errorf("remove requests: %w", err)
	}
	if err := q.RemoveLogEntries(ctx, ids); err != nil {
		return fmt.Errorf("remove log entries: %w", err)
	}
	if err := q.RemoveCallFacts(ctx, ids); err != nil {
		return fmt.Errorf("remove call facts: %w", err)
	}
	return nil
}

// requestRow has the columns of the table requests.
type requestRow struct {
	ID                   string          `json:"id"`
	Revision             uint64          `json:"revision"`
	Epoch                string          `json:"epoch"`
	Status               string          `json:"status"`
	ExternalID           *string         `json:"external_id"`
	PolicyKey            string          `json:"policy_key"`
	Actions              []string        `json:"actions"`
	Source               *string         `json:"source"`
	Location             *string         `json:"location"`
	IdentityHashes       []string        `json:"identity_hashes"`
	CustomFieldHashes    []string        `json:"custom_field_hashes"`
	CreatedAt            time.Time       `json:"created_at"`
	UpdatedAt            time.Time       `json:"updated_at"`
	StartedProcessingAt  *time.Time      `json:"started_processing_at"`
	FinishedProcessingAt *time.Time      `json:"finished_processing_at"`
	ReviewedAt           *time.Time      `json:"reviewed_at"`
	PausedAt             *time.Time      `json:"paused_at"`
	CanceledAt           *time.Time      `json:"canceled_at"`
	DueDate              *time.Time      `json:"due_date"`
	DeletedAt            *time.Time      `json:"deleted_at"`
	AwaitedCall          *string         `json:"awaited_call"`
	Deadline             *time.Time      `json:"deadline"`
	Record               json.RawMessage `json:"record"`
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

func (s *Store) rowOf(rec *record.Record, whole json.RawMessage) (requestRow, error) {
	if whole == nil {
		var err error
		if whole, err = json.Marshal(rec); err != nil {
			return requestRow{}, fmt.Errorf("readmodel: encode record: %w", err)
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

func first(times ...*time.Time) *time.Time {
	for _, t := range times {
		if t != nil {
			return t
		}
	}
	return nil
}

func asRows[T any](rows []T) ([]byte, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(rows)
	if err != nil {
		return nil, fmt.Errorf("readmodel: encode rows: %w", err)
	}
	return data, nil
}
