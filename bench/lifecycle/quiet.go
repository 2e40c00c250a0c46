package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-dsr/parley/bench/internal/child"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// streams that a lifecycle writes.
var streams = []string{
	events.StreamEvents, events.StreamWork, "KV_" + topology.BucketRequests, "KV_" + topology.BucketIdentities, "KV_" + topology.BucketHalted,
}

// stored is how many messages were ever stored.
func (h *house) stored(ctx context.Context) (n uint64, err error) {
	for _, name := range streams {
		stream, err := h.js.Stream(ctx, name)
		if err != nil {
			return 0, err
		}
		n += stream.CachedInfo().State.LastSeq
	}
	return n, nil
}

// consumers that have to have everything before it is quiet.
var consumers = map[string][]string{
	events.StreamEvents:             {topology.ConsumerFacts, topology.ConsumerProjectionEvents, topology.ConsumerCallbackFacts},
	"KV_" + topology.BucketRequests: {topology.ConsumerProjectionRecords},
}

// quiet waits until no work is left and everybody has all facts and records.
func (h *house) quiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		left, err := h.left(ctx)
		if err == nil && left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not become quiet, %d messages are left: %w", left, ctx.Err())
		case <-look.C:
		}
	}
}

func (h *house) left(ctx context.Context) (n uint64, err error) {
	work, err := h.js.Stream(ctx, events.StreamWork)
	if err != nil {
		return 0, err
	}
	n = work.CachedInfo().State.Msgs
	for stream, names := range consumers {
		for _, name := range names {
			consumer, err := h.js.Consumer(ctx, stream, name)
			if err != nil {
				return 0, err
			}
			info := consumer.CachedInfo()
			n += info.NumPending + uint64(max(info.NumAckPending, 0)) //nolint:gosec // not below 0
		}
	}
	return n, nil
}

// profiled takes profiles of all parts over one more turn, if there is a
// folder for them.
func (h *house) profiled(ctx context.Context, s size, keys policies, name string) (err error) {
	if s.profile == "" {
		return nil
	}
	folder := filepath.Join(s.profile, name)
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // results are for all
		return err
	}
	each := func(do func(name string, part *child.Child) error) error {
		for name, part := range h.parts {
			if part == nil {
				continue
			}
			if err := do(name, part); err != nil {
				return err
			}
		}
		return nil
	}
	if err := each(func(name string, part *child.Child) error { return part.Profile(filepath.Join(folder, name)) }); err != nil {
		return err
	}
	if _, err = s.lifecycles(ctx, h, keys); err != nil {
		return err
	}
	return each(func(_ string, part *child.Child) error { return part.Profile("") })
}
