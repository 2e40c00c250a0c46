package readmodel

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel/db"
)

// rememberWithin is how long it may take to read many whole records, which
// nobody waits for.
const rememberWithin = 30 * time.Second

// Record gives the record of a request, ErrNotFound where there is none.
func (s *Store) Record(ctx context.Context, id string) (*record.Record, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.ReadWithin)
	defer cancel()
	data, err := s.queries.RequestRecord(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return readRecord(data)
}

// LogEntry is an entry of a request's log as it was stored; see Entry.
type LogEntry struct {
	RequestID   string
	Audit       bool
	DatasetName string
	Status      string
	Message     *string
	ActionType  *string
	UserID      *string
	WebhookID   *string
	At          time.Time
}

// ExecutionLog gives one page of a request's execution log, oldest first, and
// the number of all entries.
func (s *Store) ExecutionLog(ctx context.Context, id string, page, size int) ([]LogEntry, int, error) {
	if err := s.usable(); err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.ReadWithin)
	defer cancel()
	total, err := s.queries.CountExecutionLog(ctx, id)
	if err != nil {
		return nil, 0, unavailable(err)
	}
	skip := edge.Paging{Page: page, Size: size}.Offset()
	if total <= int64(skip) {
		return nil, int(total), nil
	}
	rows, err := s.queries.ExecutionLog(ctx, db.ExecutionLogParams{
		RequestID: id, AtMost: int32(size), Skip: int32(skip), //nolint:gosec // the edge checks the one, and the other is less than the log is long
	})
	if err != nil {
		return nil, 0, unavailable(err)
	}
	entries := make([]LogEntry, 0, len(rows))
	for _, r := range rows {
		entries = append(entries, LogEntry{
			RequestID: id, DatasetName: r.DatasetName, Status: r.Status,
			Message: r.Message, ActionType: r.ActionType, At: r.At,
		})
	}
	return entries, int(total), nil
}

// Log gives the whole logs of some requests, audit trail and execution log, by
// request, oldest first.
func (s *Store) Log(ctx context.Context, ids []string) (map[string][]LogEntry, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.ReadWithin)
	defer cancel()
	rows, err := s.queries.LogEntries(ctx, ids)
	if err != nil {
		return nil, unavailable(err)
	}
	logs := make(map[string][]LogEntry, len(ids))
	for _, r := range rows {
		logs[r.RequestID] = append(logs[r.RequestID], LogEntry{
			RequestID: r.RequestID, Audit: r.Kind == kindAudit, DatasetName: r.DatasetName, Status: r.Status,
			Message: r.Message, ActionType: r.ActionType, UserID: r.UserID, WebhookID: r.WebhookID, At: r.At,
		})
	}
	return logs, nil
}

// CallFacts gives everything that was reported about a request's calls, oldest
// first.
func (s *Store) CallFacts(ctx context.Context, id string) ([]db.CallFactsRow, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.ReadWithin)
	defer cancel()
	rows, err := s.queries.CallFacts(ctx, id)
	return rows, unavailable(err)
}

// Overdue is a wait whose deadline has passed.
type Overdue struct {
	RequestID string
	CallID    string
	Deadline  time.Time
}

// OverdueAt gives the waits that are over at the given time, longest first.
func (s *Store) OverdueAt(ctx context.Context, now time.Time, atMost int) ([]Overdue, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.ReadWithin)
	defer cancel()
	rows, err := s.queries.OverdueRequests(ctx, db.OverdueRequestsParams{Now: now, AtMost: int32(atMost)}) //nolint:gosec // a small constant
	if err != nil {
		return nil, unavailable(err)
	}
	waits := make([]Overdue, 0, len(rows))
	for _, r := range rows {
		if r.Deadline != nil {
			waits = append(waits, Overdue{RequestID: r.ID, CallID: r.AwaitedCall, Deadline: *r.Deadline})
		}
	}
	return waits, nil
}

// Memory is what the read model remembers of a request: its record, or why that
// cannot be read.
type Memory struct {
	ID      string
	Record  *record.Record
	Problem error
}

// Remembered gives, in the order of their ids and after the given one, the
// records of requests that are not finished or have changed since the given
// time.
func (s *Store) Remembered(ctx context.Context, after string, since time.Time, atMost int) ([]Memory, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, rememberWithin)
	defer cancel()
	rows, err := s.queries.UnfinishedOrRecentRecords(ctx, db.UnfinishedOrRecentRecordsParams{
		After: after, Since: since, AtMost: int32(atMost), //nolint:gosec // a small constant
	})
	if err != nil {
		return nil, unavailable(err)
	}
	memories := make([]Memory, 0, len(rows))
	for _, r := range rows {
		rec, err := readRecord(r.Record)
		memories = append(memories, Memory{ID: r.ID, Record: rec, Problem: err})
	}
	return memories, nil
}

// FeedSeen is the last message that a feed has projected: its place in the
// stream and its time, zero where it has projected none.
func (s *Store) FeedSeen(ctx context.Context, feed string) (uint64, time.Time, error) {
	if err := s.usable(); err != nil {
		return 0, time.Time{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.ReadWithin)
	defer cancel()
	seen, err := s.queries.FeedSeen(ctx, feed)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, time.Time{}, nil
	}
	return uint64(seen.Position), seen.SeenAt, unavailable(err) //nolint:gosec // it was one
}

// Distrust lets every record be projected again, whatever its revision.
func (s *Store) Distrust(ctx context.Context) error {
	if err := s.usable(); err != nil {
		return err
	}
	return unavailable(s.queries.DistrustRequests(ctx))
}

// Distrusted gives the number of requests that were not projected since Distrust:
// once all records were, those of which NATS has none.
func (s *Store) Distrusted(ctx context.Context) (int, error) {
	if err := s.usable(); err != nil {
		return 0, err
	}
	var n int
	err := s.pool.QueryRow(ctx, "SELECT count(*) FROM requests WHERE revision = 0").Scan(&n)
	return n, unavailable(err)
}
