//go:build faults

package rounds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// streams of the house.
var streams = []string{events.StreamEvents, events.StreamWork, "KV_" + topology.BucketRequests, "KV_" + topology.BucketHalted}

// stillness is how long nothing may happen until the round looks closer: what
// then has not gone on waits for a time to pass.
const stillness = 1500 * time.Millisecond

// settle waits until every request has ended, nothing is left to do, and people
// are shown what is. It retries what is in error, and lets the time for
// acknowledgements pass where nothing else is waited for.
func (rd *round) settle(ctx context.Context) error {
	last, since, still := "", time.Now(), 0
	return until(ctx, func() bool {
		// an answer of NATS that is lost is not to be waited for
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		at, unread, err := rd.progress(ctx)
		if err != nil {
			return false
		}
		if at != last {
			last, since = at, time.Now()
		}
		over := rd.over(ctx, unread)
		if over || time.Since(since) < stillness {
			return over
		}
		if still++; still%10 == 0 {
			rd.note("it is not over: %s", rd.situation())
		}
		rd.lapse(ctx)
		since = time.Now()
		return false
	})
}

// progress is what changes as long as something happens, and what consumers
// have not handled.
func (rd *round) progress(ctx context.Context) (at string, unread []string, err error) {
	var b strings.Builder
	for _, name := range streams {
		stream, err := rd.house.js.Stream(ctx, name)
		if err != nil {
			return "", nil, err
		}
		fmt.Fprint(&b, stream.CachedInfo().State.LastSeq, stream.CachedInfo().State.Msgs)
		list := stream.ListConsumers(ctx)
		for info := range list.Info() {
			fmt.Fprint(&b, info.AckFloor.Stream, info.Delivered.Consumer)
			if info.Config.Durable != "" && info.NumPending+uint64(info.NumAckPending) > 0 {
				unread = append(unread, fmt.Sprintf("%s: %d pending, %d in hand", info.Name, info.NumPending, info.NumAckPending))
			}
		}
		if err := list.Err(); err != nil {
			return "", nil, err
		}
	}
	slices.Sort(unread)
	return b.String(), unread, nil
}

// over says whether there is nothing left to do, and has people do what there
// is for them.
func (rd *round) over(ctx context.Context, unread []string) bool {
	records, err := rd.records(ctx)
	if err != nil {
		return false
	}
	ended := true
	for id, rec := range records {
		if rec.Status == record.Failed && rd.mayRetry(id, rec) {
			rd.clients.Go(func() { rd.retry(rd.ctx, id) })
			ended = false
		}
		ended = ended && rec.Status.Ended()
	}
	if !ended || len(unread) > 0 {
		return false
	}
	work, err := rd.work(ctx)
	if err != nil || len(work) > 0 {
		return false
	}
	halts, err := rd.halts(ctx)
	if err != nil || len(halts) > 0 {
		return false
	}
	stored, err := rd.stored(ctx)
	return err == nil && maps.EqualFunc(records, stored, func(r record.Record, s record.Status) bool { return r.Status == s })
}

// retriesAtMost is how often a person tries, at most.
const retriesAtMost = 3

// mayRetry says whether a person retries a request that is in error, once for
// each time: some of those whose halt was never to be resumed stay.
func (rd *round) mayRetry(id string, rec record.Record) bool {
	tried := rd.retries[id]
	stays := rec.Submission.PolicyKey == expire && id[len(id)-1]%2 == 0
	if stays || len(tried) == retriesAtMost || slices.Contains(tried, rec.Revision) {
		return false
	}
	rd.retries[id] = append(tried, rec.Revision)
	return true
}

// work are the subjects of the work that is left.
func (rd *round) work(ctx context.Context) ([]string, error) {
	stream, err := rd.house.js.Stream(ctx, events.StreamWork)
	if err != nil {
		return nil, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(info.State.Subjects)), nil
}

// records reads all records.
func (rd *round) records(ctx context.Context) (map[string]record.Record, error) {
	all := map[string]record.Record{}
	err := rd.values(ctx, topology.BucketRequests, func(key string, value []byte) error {
		var rec record.Record
		if err := json.Unmarshal(value, &rec); err != nil {
			return fmt.Errorf("record %s: %w", key, err)
		}
		all[key] = rec
		return nil
	})
	return all, err
}

// halts are the calls of the halts that are kept.
func (rd *round) halts(ctx context.Context) ([]string, error) {
	var all []string
	err := rd.values(ctx, topology.BucketHalted, func(key string, _ []byte) error {
		all = append(all, key)
		return nil
	})
	return all, err
}

// values hands over what a bucket holds now.
func (rd *round) values(ctx context.Context, bucket string, take func(key string, value []byte) error) error {
	kv, err := rd.house.js.KeyValue(ctx, bucket)
	if err != nil {
		return err
	}
	watcher, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return err
	}
	defer func() { _ = watcher.Stop() }()
	for {
		select {
		case entry := <-watcher.Updates():
			if entry == nil {
				return nil // these were all
			}
			if err := take(entry.Key(), entry.Value()); err != nil {
				return err
			}
		case <-time.After(answerWithin):
			return errors.New("the bucket does not answer")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lapse lets the time for acknowledgements pass for consumers that hand out
// nothing and have something in hand: whoever had it is dead, or its word was
// lost. In earnest that takes a minute.
func (rd *round) lapse(ctx context.Context) {
	var lapses sync.WaitGroup
	defer lapses.Wait()
	for _, name := range streams {
		stream, err := rd.house.js.Stream(ctx, name)
		if err != nil {
			return
		}
		list := stream.ListConsumers(ctx)
		for info := range list.Info() {
			if info.NumAckPending == 0 {
				continue
			}
			rd.note("the time passes for %d in the hands of %s", info.NumAckPending, info.Name)
			lapses.Go(func() { rd.hasten(ctx, info) })
		}
	}
}

// hasten lets a consumer wait for a second, for a moment.
func (rd *round) hasten(ctx context.Context, info *jetstream.ConsumerInfo) {
	hasty := info.Config
	hasty.AckWait = time.Second
	if _, err := rd.house.js.UpdateConsumer(ctx, info.Stream, hasty); err != nil {
		rd.note("the time cannot pass for %s: %v", info.Name, err)
		return
	}
	rd.awaitHandled(ctx, info.Stream, info.Name)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	if _, err := rd.house.js.UpdateConsumer(ctx, info.Stream, info.Config); err != nil {
		rd.note("the consumer %s: %v", info.Name, err)
	}
}

// awaitHandled waits until a consumer has nothing in hand, for a moment.
func (rd *round) awaitHandled(ctx context.Context, stream, name string) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_ = until(ctx, func() bool { // the next look tells
		consumer, err := rd.house.js.Consumer(ctx, stream, name)
		return err == nil && consumer.CachedInfo().NumAckPending == 0
	})
}

// situation is what is left to do.
func (rd *round) situation() string {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	var b strings.Builder
	_, unread, err := rd.progress(ctx)
	work, workErr := rd.work(ctx)
	fmt.Fprintf(&b, "not handled: %v %v; work: %v %v", unread, err, work, workErr)
	records, _ := rd.records(ctx)
	open := 0
	for id, rec := range records {
		if rec.Status.Ended() {
			continue
		}
		if open++; open <= 5 {
			fmt.Fprintf(&b, "\n%s is %s, waits for %+v", id, rec.Status, rec.Wait)
		}
	}
	fmt.Fprintf(&b, "\n%d of %d requests have not ended", open, len(records))
	return b.String()
}
