package topology

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go/jetstream"
)

var errWatchEnded = errors.New("the connection ended")

// Keys gives the keys that match the filter (">" for all), without what was
// removed or has expired. It ends with an error if the keys could not be read
// to the end.
func (b *Bucket) Keys(ctx context.Context, filter string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for e, err := range b.entries(ctx, filter, jetstream.MetaOnly()) {
			if !yield(e.Key, err) {
				return
			}
		}
	}
}

// Entries is Keys with the values.
func (b *Bucket) Entries(ctx context.Context, filter string) iter.Seq2[Entry, error] {
	return b.entries(ctx, filter)
}

// Watch gives what the filter matches, then nil, and from then on what changes:
// also what is removed or expires.
func (b *Bucket) Watch(ctx context.Context, filter string, options ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	kv, err := b.js.KeyValue(ctx, b.name)
	if err != nil {
		return nil, fmt.Errorf("topology: read %s: %w", b.name, err)
	}
	watcher, err := kv.Watch(ctx, filter, options...)
	if err != nil {
		return nil, fmt.Errorf("topology: read %s: %w", b.name, err)
	}
	return watcher, nil
}

func (b *Bucket) entries(ctx context.Context, filter string, options ...jetstream.WatchOpt) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		fail := func(err error) { yield(Entry{}, fmt.Errorf("topology: read %s: %w", b.name, err)) }
		watcher, err := b.Watch(ctx, filter, append(options, jetstream.IgnoreDeletes())...)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer func() { _ = watcher.Stop() }()
		for {
			select {
			case <-ctx.Done():
				fail(context.Cause(ctx))
				return
			case e, open := <-watcher.Updates():
				if !open {
					fail(errWatchEnded)
					return
				}
				if e == nil {
					return // all that was there has been given
				}
				if !yield(Entry{Key: e.Key(), Value: e.Value(), Revision: e.Revision(), Created: e.Created()}, nil) {
					return
				}
			}
		}
	}
}
