package readmodel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// project writes the messages and acknowledges them. Rows that the database
// refuses are written one by one, so that one of them does not hold up the
// rest for ever.
func (f *Feed) project(ctx context.Context, messages []message) error {
	err := f.write(ctx, messages)
	if errors.Is(err, ErrRefused) && len(messages) > 1 {
		for _, msg := range messages {
			if err := f.project(ctx, []message{msg}); err != nil {
				return err
			}
		}
		return nil
	}
	if errors.Is(err, ErrRefused) {
		f.logger.Error("the database does not take this message; it is left out", "subject", messages[0].Subject(), "error", err)
		err = f.insist(ctx, f.batch(messages).place(), messages)
	}
	if err != nil {
		return err
	}
	for _, msg := range messages {
		if err := msg.Ack(); err != nil {
			return fmt.Errorf("readmodel: acknowledge: %w", err)
		}
	}
	return nil
}

// write tries until the database is there. It says so once for each batch,
// since nothing is shown, and no wait ends, until it is.
func (f *Feed) write(ctx context.Context, messages []message) error {
	return f.insist(ctx, f.batch(messages), messages)
}

func (f *Feed) insist(ctx context.Context, batch Batch, messages []message) error {
	for pause := retryFirst; ; pause = min(2*pause, retryLongest) {
		err := f.try(ctx, batch)
		if err == nil || !errors.Is(err, ErrUnavailable) {
			return err
		}
		if pause == retryFirst && ctx.Err() == nil {
			f.logger.Warn("the database takes no batch, trying on", "messages", len(messages), "error", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

func (f *Feed) try(ctx context.Context, b Batch) error {
	ctx, cancel := context.WithTimeout(ctx, projectWithin)
	defer cancel()
	return f.store.Project(ctx, b)
}

func (f *Feed) batch(messages []message) Batch {
	b := Batch{Unreadable: func(id string, err error) {
		f.logger.Error("a record cannot be read; it is left out", "request_id", id, "error", err)
	}}
	last := map[string]int{}
	for i, msg := range messages {
		last[msg.Subject()] = i
	}
	for i, msg := range messages {
		if f.latest && last[msg.Subject()] != i {
			continue
		}
		if err := f.add(&b, msg); err != nil {
			f.logger.Error("a message cannot be read; it is left out", "subject", msg.Subject(), "error", err)
		}
	}
	return b
}

func addRecord(b *Batch, msg message) error {
	b.saw(FeedRecords, msg)
	if topology.IsMarker(msg.Headers()) {
		b.Removed = append(b.Removed, topology.KeyOfSubject(msg.Subject()))
		return nil
	}
	return b.addStored(topology.KeyOfSubject(msg.Subject()), msg.Data())
}

func addEvent(b *Batch, msg message) error {
	b.saw(FeedEvents, msg) // also of what cannot be read: it is acknowledged
	e, err := events.Decode(msg.Headers(), msg.Data())
	if err != nil {
		return fmt.Errorf("readmodel: decode event: %w", err)
	}
	return b.AddFact(e)
}

// saw notes how far a feed comes with the batch.
func (b *Batch) saw(feed string, msg message) {
	if meta, err := msg.Metadata(); err == nil && meta.Sequence.Stream > b.Position {
		b.Feed, b.Position, b.SeenAt = feed, meta.Sequence.Stream, meta.Timestamp
	}
}

// place is a batch that says how far a feed has come, and nothing else.
func (b Batch) place() Batch { return Batch{Feed: b.Feed, Position: b.Position, SeenAt: b.SeenAt} }
