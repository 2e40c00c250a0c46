// Package reconcile compares the two places that remember privacy requests, the
// bucket of records and the read model in Postgres, and makes each good with
// what only the other still knows.
//
// Either may have gone back: a NATS server that lost its last writes with the
// power, a database that was put back from a backup. What is newer in Postgres
// is put back into the bucket, with a new epoch, and what it waits for is
// ordered again. What is newer in the bucket is projected; where Postgres has
// lost what its feeds had brought, the feeds begin again where it stands.
//
// A record whose outbox nobody has settled is published again on the way: who
// put it back may have died before that, and no input would come to do it.
//
// A request that cannot be compared, since one of its records cannot be read or
// written, is told and passed over: it must not keep the others from coming
// back. What is away as a whole ends the comparison, and it is made again.
//
// It is safe beside running replicas. The read model is read before the bucket,
// which is always written first, so that the bucket looks older only if it is;
// and what is put back is a compare-and-set.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

const (
	pageSize = 500
	atOnce   = 16
	// recent are the finished requests that are compared beside the unfinished
	// ones.
	recent = 30 * 24 * time.Hour
	// margin is how far before the last fact that Postgres has its feed begins
	// again: batches of two replicas may have been stored out of order.
	margin = 10 * time.Minute
)

// Config is what is compared, and with what.
type Config struct {
	Store    *readmodel.Store
	Requests *topology.Bucket
	// Records and Events are the feeds of the read model.
	Records *readmodel.Feed
	Events  *readmodel.Feed
	// Restore commits a record over a revision of the bucket and publishes its
	// outbox.
	Restore func(ctx context.Context, rec *record.Record, revision uint64) error
	// Republish publishes the outbox of a record that stands in the bucket
	// under the given revision, and settles it.
	Republish func(ctx context.Context, rec *record.Record, revision uint64) error
	// Life is how long a record stays in the bucket by itself after its last
	// change; 0 is for ever.
	Life func(rec *record.Record) time.Duration
	// MaxAge is the deadline of calls, from their order.
	MaxAge time.Duration
	Epoch  string
	Clock  func() time.Time
	Logger *slog.Logger
}

// Report says what was done.
type Report struct {
	// Compared is the number of requests that were looked at.
	Compared int
	// Restored were newer in Postgres and put back into the bucket.
	Restored int
	// Projected were newer in the bucket and projected.
	Projected int
	// Failed could not be compared, or not be made good.
	Failed int
	// Replayed says that the feeds began again.
	Replayed bool
}

// Run compares once.
func Run(ctx context.Context, c Config) (Report, error) {
	r := &run{Config: c}
	if err := r.feeds(ctx); err != nil {
		return r.report, err
	}
	since := c.Clock().Add(-recent)
	after := ""
	for {
		page, err := c.Store.Remembered(ctx, after, since, pageSize)
		if err != nil {
			return r.report, fmt.Errorf("reconcile: %w", err)
		}
		if err := r.page(ctx, page); err != nil {
			return r.report, err
		}
		if len(page) < pageSize {
			return r.report, nil
		}
		after = page[len(page)-1].ID
	}
}

// away says whether an error is about a place as a whole, which is to be waited
// for, and not about one request.
func away(err error) bool {
	for _, whole := range []error{
		context.Canceled, context.DeadlineExceeded, readmodel.ErrUnavailable,
		nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionClosed, nats.ErrDisconnected, nats.ErrReconnectBufExceeded,
		jetstream.ErrNoStreamResponse, jetstream.ErrJetStreamNotEnabled, jetstream.ErrStreamNotFound,
	} {
		if errors.Is(err, whole) {
			return true
		}
	}
	return false
}

type run struct {
	Config
	mu     sync.Mutex
	report Report
}

// feeds looks whether Postgres still has what its feeds have acknowledged. One
// may have been behind the other, so each is asked; where one has lost
// something, both begin again.
func (r *run) feeds(ctx context.Context) error {
	lostFacts, err := r.lost(ctx, readmodel.FeedEvents, r.Events)
	if err != nil {
		return err
	}
	lostRecords, err := r.lost(ctx, readmodel.FeedRecords, r.Records)
	if err != nil || !lostFacts && !lostRecords {
		return err
	}
	_, begin, err := r.Store.FeedSeen(ctx, readmodel.FeedEvents)
	if err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	if !begin.IsZero() {
		begin = begin.Add(-margin)
	}
	r.Logger.Warn("the database has lost what it had; its feeds begin again", "facts_from", begin)
	if err := r.Events.Restart(ctx, begin); err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	if err := r.Records.Restart(ctx, time.Time{}); err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	r.report.Replayed = true
	return nil
}

// lost says whether a feed has acknowledged more than Postgres has of it.
func (r *run) lost(ctx context.Context, name string, feed *readmodel.Feed) (bool, error) {
	position, _, err := r.Store.FeedSeen(ctx, name)
	if err != nil {
		return false, fmt.Errorf("reconcile: %w", err)
	}
	acknowledged, err := feed.Acknowledged(ctx)
	if err != nil {
		return false, fmt.Errorf("reconcile: %w", err)
	}
	return acknowledged > position, nil
}

// page compares some requests, many at the same time, and projects what is
// newer in the bucket, and what was put back into it.
func (r *run) page(ctx context.Context, records []readmodel.Memory) error {
	errs := make([]error, len(records))
	newer := make([]*record.Record, len(records))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, m := range records {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if errs[i] = m.Problem; m.Problem == nil {
				newer[i], errs[i] = r.compare(ctx, m.Record)
			}
			errs[i] = r.passOver(m.ID, errs[i])
		})
	}
	wg.Wait()
	r.report.Compared += len(records)
	return errors.Join(append(errs, r.project(ctx, newer))...)
}

// passOver notes a request that cannot be compared, and gives an error only
// where that is no fault of its own.
func (r *run) passOver(id string, err error) error {
	if err == nil || away(err) {
		return err
	}
	r.Logger.Error("a request cannot be compared with the database, it is passed over", "request_id", id, "error", err)
	r.count(func(report *Report) { report.Failed++ })
	return nil
}

// project projects all at once. Rows that the database refuses are projected one
// by one, so that one of them does not keep the others out.
func (r *run) project(ctx context.Context, records []*record.Record) error {
	var b readmodel.Batch
	for _, rec := range records {
		if rec != nil {
			b.Records = append(b.Records, rec)
		}
	}
	if len(b.Records) == 0 {
		return nil
	}
	err := r.Store.Project(ctx, b)
	if !errors.Is(err, readmodel.ErrRefused) {
		return inContext(err)
	}
	for _, rec := range b.Records {
		err := r.Store.Project(ctx, readmodel.Batch{Records: []*record.Record{rec}})
		if err := r.passOver(rec.ID, err); err != nil {
			return inContext(err)
		}
	}
	return nil
}

func inContext(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("reconcile: %w", err)
}

// compare gives the bucket's record where it is the newer one. Where that of
// Postgres is, it puts it back and gives what now stands in the bucket.
func (r *run) compare(ctx context.Context, stored *record.Record) (newer *record.Record, err error) {
	entry, err := r.Requests.Get(ctx, stored.ID)
	switch {
	case errors.Is(err, topology.ErrNotFound):
		if r.expired(stored) {
			return nil, r.remove(ctx, stored.ID)
		}
		return r.putBack(ctx, restored(stored, 0, r.Epoch, r.Clock().UTC(), r.MaxAge), 0)
	case err != nil:
		return nil, fmt.Errorf("reconcile: read record: %w", err)
	}
	present, err := record.Decode(entry.Value)
	if err != nil {
		return nil, fmt.Errorf("reconcile: %s: %w", stored.ID, err)
	}
	switch judge(present, stored) {
	case putBack:
		return r.putBack(ctx, restored(stored, present.Revision, r.Epoch, r.Clock().UTC(), r.MaxAge), entry.Revision)
	case raise:
		return r.raise(ctx, raised(present, stored.Revision, r.Epoch), entry.Revision)
	case alike:
		return nil, r.republish(ctx, present, entry.Revision)
	}
	r.count(func(report *Report) { report.Projected++ })
	return present, r.republish(ctx, present, entry.Revision)
}

// republish publishes what a record still has to.
func (r *run) republish(ctx context.Context, present *record.Record, revision uint64) error {
	if len(present.Outbox) == 0 {
		return nil
	}
	if err := r.Republish(ctx, present, revision); err != nil {
		return fmt.Errorf("reconcile: publish what %s orders: %w", present.ID, err)
	}
	return nil
}

// expired says whether the record left the bucket because it was to.
func (r *run) expired(rec *record.Record) bool {
	life := r.Life(rec)
	return life > 0 && rec.UpdatedAt.Add(life).Before(r.Clock())
}

func (r *run) remove(ctx context.Context, id string) error {
	if err := r.Store.Project(ctx, readmodel.Batch{Removed: []string{id}}); err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	return nil
}

func (r *run) putBack(ctx context.Context, rec *record.Record, revision uint64) (*record.Record, error) {
	written, err := r.write(ctx, rec, revision)
	if written {
		r.Logger.Warn("a request was put back from the database", "request_id", rec.ID, "revision", rec.Revision)
		r.count(func(report *Report) { report.Restored++ })
		return rec, nil
	}
	return nil, err
}

func (r *run) raise(ctx context.Context, rec *record.Record, revision uint64) (*record.Record, error) {
	written, err := r.write(ctx, rec, revision)
	if written {
		r.Logger.Warn("what the database had of a request was given up for what NATS has", "request_id", rec.ID, "revision", rec.Revision)
		r.count(func(report *Report) { report.Projected++ })
		return rec, nil
	}
	return nil, err
}

// write commits over a revision of the bucket. It is false, without an error,
// where somebody moved the request on, or put it back, meanwhile.
func (r *run) write(ctx context.Context, rec *record.Record, revision uint64) (bool, error) {
	err := r.Restore(ctx, rec, revision)
	if errors.Is(err, topology.ErrConflict) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reconcile: put back %s: %w", rec.ID, err)
	}
	return true, nil
}

// count notes what was done to one request.
func (r *run) count(note func(*Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	note(&r.report)
}
