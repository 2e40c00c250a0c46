package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/parley-dsr/parley/bench/internal/child"
	"github.com/parley-dsr/parley/bench/internal/floor"
	"github.com/parley-dsr/parley/bench/internal/load"
	"github.com/parley-dsr/parley/bench/internal/parts"
)

// turn is what one turn has measured.
type turn struct {
	perSecond float64
	// processor is microseconds of processors a lifecycle, by part.
	processor map[string]float64
	// behind is what the read model needed, after the last lifecycle, to have
	// all of them.
	behind time.Duration
	stored float64 // messages a lifecycle
}

func (t turn) all() (sum float64) {
	for _, one := range t.processor {
		sum += one
	}
	return sum
}

// throughput takes turns between lifecycles and the floor under one flush
// setting, and, where NATS flushes now and then, between numbers of lanes.
func (s size) throughput(ctx context.Context, name, sync string, r *results) error {
	h, err := build(ctx, sync, s.concurrency)
	if err != nil {
		return err
	}
	defer h.close()
	if s.plays("throughput") {
		if err := s.turns(ctx, h, name, sync, r); err != nil {
			return err
		}
	}
	if s.plays("lanes") && name == "lazy" {
		return s.lanes(ctx, h, r)
	}
	return nil
}

func (s size) turns(ctx context.Context, h *house, name, sync string, r *results) error {
	keys, err := h.configure(ctx, "go", s.connections, parts.PathGo)
	if err != nil {
		return err
	}
	var lifecycles, floors []turn
	for i := range s.pairs {
		one, err := s.lifecycles(ctx, h, keys)
		if err != nil {
			return err
		}
		bare, err := s.floor(ctx, h)
		if err != nil {
			return err
		}
		lifecycles, floors = append(lifecycles, one), append(floors, bare)
		say("flush %s, turn %d of %d: %.0f lifecycles/s, floor %.0f/s: %.2f, by processor time %.2f",
			sync, i+1, s.pairs, one.perSecond, bare.perSecond, one.perSecond/bare.perSecond, bare.all()/one.all())
	}
	if n := h.unconfirmed.Load(); n > 0 {
		say("%d submissions were stored and not confirmed within 5s: the machine is too busy, or there are too many in flight", n)
	}
	if err := h.profiled(ctx, s, keys, name); err != nil {
		return err
	}
	r.throughput(name, lifecycles, floors)
	return nil
}

// lifecycles plays a closed loop of them.
func (s size) lifecycles(ctx context.Context, h *house, keys policies) (t turn, err error) {
	h.seen.reset(false)
	before, err := h.stored(ctx)
	if err != nil {
		return t, err
	}
	var policy, begun atomic.Int64
	var edges []map[string]child.Use
	n, took, err := load.Closed{
		InFlight: s.inFlight, Warm: s.warm, Window: s.window, Edge: func() { edges = append(edges, h.used()) },
	}.Run(ctx, func(ctx context.Context) error {
		begun.Add(1)
		ids, err := h.create(ctx, keys[int(policy.Add(1))%len(keys)], 1)
		for _, id := range ids {
			err = errors.Join(err, h.seen.await(ctx, id))
		}
		return err
	})
	if err == nil {
		err = h.seen.problem()
	}
	if err != nil {
		return t, err
	}
	ended := time.Now()
	if err := h.quiet(ctx); err != nil {
		return t, err
	}
	after, err := h.stored(ctx)
	if err != nil {
		return t, err
	}
	_, err = h.calls(ctx) // the receiver may forget them
	return turn{
		perSecond: float64(n) / took.Seconds(), processor: per(n, edges), behind: time.Since(ended),
		stored: float64(after-before) / float64(begun.Load()),
	}, err
}

// floor plays a closed loop of the floor.
func (s size) floor(ctx context.Context, h *house) (t turn, err error) {
	f, err := floor.Open(ctx, floor.Options{
		NATS: h.parts[partNATS].URL, Receiver: h.parts[partReceiver].URL + parts.PathGo, Client: h.receiver,
		Connections: s.connections, Concurrency: s.concurrency,
	})
	if err != nil {
		return t, err
	}
	defer f.Close()
	var edges []map[string]child.Use
	n, took, err := load.Closed{
		InFlight: s.inFlight, Warm: s.warm, Window: s.window, Edge: func() { edges = append(edges, h.used()) },
	}.Run(ctx, f.Lifecycle)
	if err != nil {
		return t, fmt.Errorf("floor: %w", err)
	}
	// Only these have a part in it; the services do nothing but look around.
	for _, edge := range edges {
		for name := range edge {
			if name != "clients" && name != partNATS && name != partReceiver {
				delete(edge, name)
			}
		}
	}
	_, err = h.calls(ctx)
	return turn{perSecond: float64(n) / took.Seconds(), processor: per(n, edges), stored: float64(floor.Stored())}, err
}

// per is the processor time of each part between two looks, in microseconds a
// lifecycle.
func per(n int, edges []map[string]child.Use) map[string]float64 {
	all := map[string]float64{}
	for name, end := range edges[1] {
		all[name] = float64((end.Processor - edges[0][name].Processor).Microseconds()) / float64(max(n, 1))
	}
	return all
}
