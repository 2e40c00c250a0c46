// Package follow tells what happens to one privacy request, fact by fact, as it
// happens: the facts that the stream has, from a place in it, and then those that
// come.
//
// A follower costs nothing on the server but one subscription. It reads the
// stream by subject, from the place that it has come to; what it is told by core
// NATS is only that it may look again. A hint may be lost, and may be faster than
// the message itself, so it also looks a little later, and at every heartbeat.
// Nothing is left out or told twice, and the order is that of the stream.
//
// It ends when the request has: in complete, denied or canceled, or deleted
// softly, and all facts about it are told. A request in error may be retried, so
// its follower waits.
package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

var (
	// ErrNotFound is returned for a request that does not exist.
	ErrNotFound = errors.New("follow: no such request")
	// ErrEnded is returned by Next when nothing more will be told.
	ErrEnded = errors.New("follow: the request has ended")
)

// Records reads the record of a request.
type Records interface {
	Get(ctx context.Context, key string) (topology.Entry, error)
}

// Facts lets requests be followed.
type Facts struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	records Records
}

// New returns the facts of a NATS.
func New(nc *nats.Conn, js jetstream.JetStream, records Records) *Facts {
	return &Facts{nc: nc, js: js, records: records}
}

// Fact is one fact with its place in the stream.
type Fact struct {
	Place uint64
	Event events.Event
}

// Follower follows one request. It is for one goroutine.
type Follower struct {
	facts   *Facts
	request string
	stream  jetstream.Stream
	next    uint64
	hints   chan struct{}
	sub     *nats.Subscription
}

// Open begins after the given place; 0 is the begin. A place that the stream has
// not come to is of another stream, one that was lost: then all is told. Close it.
func (f *Facts) Open(ctx context.Context, requestID string, after uint64) (*Follower, error) {
	if !events.ValidToken(requestID) {
		return nil, ErrNotFound
	}
	w := &Follower{facts: f, request: requestID, hints: make(chan struct{}, 1)}
	if _, err := w.ended(ctx); err != nil {
		return nil, err
	}
	var err error
	if w.stream, err = f.js.Stream(ctx, events.StreamEvents); err != nil {
		return nil, fmt.Errorf("follow: %w", err)
	}
	if w.next = after + 1; after > w.stream.CachedInfo().State.LastSeq {
		w.next = 1
	}
	// Before the first look, so that nothing falls between.
	w.sub, err = f.nc.Subscribe(subject(requestID), func(*nats.Msg) {
		select {
		case w.hints <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil, fmt.Errorf("follow: %w", err)
	}
	return w, nil
}

// subject matches the facts about a request.
func subject(requestID string) string { return "dsr.event.*.*." + requestID }

// Close ends it.
func (w *Follower) Close() { _ = w.sub.Unsubscribe() }

// settle are the pauses of the looks after a hint: the message may not be there
// yet.
func settle(look int) time.Duration {
	return []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second}[look]
}

const looks = 3

// lookWithin is how long one look may take.
const lookWithin = 5 * time.Second

// Next gives the next fact; ErrEnded when there will be none. It returns no fact
// and no error when there was none for as long as patience, or when ctx ends. Any
// other error is about this look only.
func (w *Follower) Next(ctx context.Context, patience time.Duration) (*Fact, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		// Before the look, so that facts that it has are found by it.
		ended, err := w.ended(ctx)
		if err != nil {
			return nil, err
		}
		fact, err := w.look(ctx)
		if fact != nil || err != nil {
			return fact, err
		}
		if ended {
			return nil, ErrEnded
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-timer.C:
			return nil, nil
		case <-w.hints:
		}
		for i := range looks {
			if fact, err := w.look(ctx); fact != nil || err != nil {
				return fact, err
			}
			pause := time.NewTimer(settle(i))
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
			pause.Stop()
		}
	}
}

// look gives the next fact that the stream has, nil for none.
func (w *Follower) look(ctx context.Context) (*Fact, error) {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	for {
		msg, err := w.stream.GetMsg(ctx, w.next, jetstream.WithGetMsgSubject(subject(w.request)))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil, nil
		case err != nil && whole.Err() != nil:
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("follow: %w", err)
		}
		w.next = msg.Sequence + 1
		e, err := events.Decode(msg.Header, msg.Data)
		if err == nil {
			return &Fact{Place: msg.Sequence, Event: e}, nil
		}
		// what nobody can read is passed over
	}
}

// ended says whether the request has ended and everything about its end is
// published.
func (w *Follower) ended(ctx context.Context) (bool, error) {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	entry, err := w.facts.records.Get(ctx, w.request)
	if errors.Is(err, topology.ErrNotFound) {
		return true, ErrNotFound
	}
	if err != nil && whole.Err() != nil {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("follow: %w", err)
	}
	rec, err := record.Decode(entry.Value)
	if err != nil {
		return false, fmt.Errorf("follow: %w", err)
	}
	return len(rec.Outbox) == 0 && (rec.Status.Final() || rec.DeletedAt != nil), nil
}
