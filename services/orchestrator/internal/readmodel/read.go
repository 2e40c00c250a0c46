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
	var data []byte
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		data, err = s.queries.RequestRecord(ctx, id)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
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
	skip := edge.Paging{Page: page, Size: size}.Offset()
	var total int64
	var rows []db.ExecutionLogRow
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		total, err = s.queries.CountExecutionLog(ctx, id)
		if err != nil || total <= int64(skip) {
			return err
		}
		rows, err = s.queries.ExecutionLog(ctx, db.ExecutionLogParams{
			RequestID: id, AtMost: int32(size), Skip: int32(skip), //nolint:gosec // the edge checks the one, and the other is less than the log is long
		})
		return err
	})
	if err != nil {
		return nil, 0, err
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
	var rows []db.LogEntriesRow
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		rows, err = s.queries.LogEntries(ctx, ids)
		return err
	})
	if err != nil {
		return nil, err
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
	var rows []db.CallFactsRow
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		rows, err = s.queries.CallFacts(ctx, id)
		return err
	})
	return rows, err
}

// Overdue is a wait whose deadline has passed.
type Overdue struct {
	RequestID string
	CallID    string
	Deadline  time.Time
}

// OverdueAt gives the waits that are over at the given time, longest first.
func (s *Store) OverdueAt(ctx context.Context, now time.Time, atMost int) ([]Overdue, error) {
	var rows []db.OverdueRequestsRow
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		rows, err = s.queries.OverdueRequests(ctx, db.OverdueRequestsParams{Now: now, AtMost: int32(atMost)}) //nolint:gosec // a small constant
		return err
	})
	if err != nil {
		return nil, err
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
	var rows []db.UnfinishedOrRecentRecordsRow
	err := s.askWithin(ctx, rememberWithin, func(ctx context.Context) (err error) {
		rows, err = s.queries.UnfinishedOrRecentRecords(ctx, db.UnfinishedOrRecentRecordsParams{
			After: after, Since: since, AtMost: int32(atMost), //nolint:gosec // a small constant
		})
		return err
	})
	if err != nil {
		return nil, err
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
	var seen db.FeedSeenRow
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		seen, err = s.queries.FeedSeen(ctx, feed)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, time.Time{}, nil
	}
	return uint64(seen.Position), seen.SeenAt, err //nolint:gosec // it was one
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
