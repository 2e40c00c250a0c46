package main

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/parley-dsr/parley/bench/internal/load"
	"github.com/parley-dsr/parley/bench/internal/parts"
)

// batch is how many requests a submission has where many are made.
const batch = 50

// haltingConnections are more than usual, since requests that halt wait for one
// call each and then for nothing.
const haltingConnections = 16

// stand is what was measured with so many requests halted.
type stand struct {
	InFlight int `json:"in_flight"`
	// Start is the time from the start of all services to the last that is
	// ready, NATSStart that of NATS over its store.
	Start     float64 `json:"start_seconds"`
	NATSStart float64 `json:"nats_start_seconds"`
	// LifecyclesPerSecond is what others reach meanwhile.
	LifecyclesPerSecond float64            `json:"lifecycles_per_second"`
	Processor           map[string]float64 `json:"processor_us_per_lifecycle"`
	// Memory is resident and not shared, in bytes, by part, once garbage is
	// collected; Disk is what the stores have.
	Memory map[string]int64 `json:"memory_bytes"`
	Disk   map[string]int64 `json:"disk_bytes"`
}

// growth halts more and more requests, and looks each time what that costs.
func (s size) growth(ctx context.Context, r *results) error {
	h, err := build(ctx, "2m", s.concurrency)
	if err != nil {
		return err
	}
	defer h.close()
	halts, err := h.configure(ctx, "halt", haltingConnections, parts.PathHalt)
	if err != nil {
		return err
	}
	goes, err := h.configure(ctx, "go", s.connections, parts.PathGo)
	if err != nil {
		return err
	}
	var halted *model
	var copied []parts.Call
	inFlight := 0
	for _, n := range steps(s.halted) {
		if halted == nil {
			halted, err = h.submitHalted(ctx, halts, n)
		} else {
			copied, err = h.copy(ctx, halted, inFlight, n)
		}
		if err != nil {
			return err
		}
		inFlight = n
		one, err := s.look(ctx, h, goes, n)
		if err != nil {
			return err
		}
		say("%d requests in flight: ready %.2f s after the start, NATS %.2f s, %.0f lifecycles/s beside them",
			n, one.Start, one.NATSStart, one.LifecyclesPerSecond)
		r.grown(one)
	}
	return h.resumeAll(ctx, copied)
}

// steps are the numbers at which to look, each ten times the one before.
func steps(last int) (all []int) {
	for n := 1000; n < last; n *= 10 {
		all = append(all, n)
	}
	return append(all, last)
}

// submitHalted submits requests that halt, and gives one of them.
func (h *house) submitHalted(ctx context.Context, keys policies, n int) (*model, error) {
	stop := h.progress("halting requests", n, h.seen.count)
	halted, err := h.halt(ctx, keys, n)
	stop()
	if err != nil {
		return nil, err
	}
	return h.modelOf(ctx, halted[0])
}

// copy makes copies of a halted request until there are so many, and waits until
// all services know them.
func (h *house) copy(ctx context.Context, m *model, from, to int) ([]parts.Call, error) {
	h.seen.reset(true)
	began := time.Now()
	stop := h.progress("copying halted requests", to, func() int { return from + h.seen.count() })
	copied, err := m.copies(ctx, to-from)
	stop()
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	if err := h.quiet(ctx); err != nil {
		return nil, err
	}
	say("copied %d halted requests in %.0f s; all services knew them after %.0f s", to-from, took.Seconds(), time.Since(began).Seconds())
	return copied, nil
}

// resumeAll resumes halted requests: they have to complete, as what was really
// submitted.
func (h *house) resumeAll(ctx context.Context, halted []parts.Call) error {
	h.seen.reset(true)
	if err := load.Each(len(halted), 8, func(i int) error { return h.resume(ctx, halted[i].ID) }); err != nil {
		return err
	}
	return h.seen.awaitCount(ctx, len(halted))
}

// submit submits n requests, many in a submission.
func (h *house) submit(ctx context.Context, keys policies, n int) error {
	return load.Each((n+batch-1)/batch, 4, func(i int) error {
		_, err := h.create(ctx, keys[i%len(keys)], min(batch, n-i*batch))
		return err
	})
}

// progress says now and then how far it is.
func (h *house) progress(what string, of int, at func() int) (stop func()) {
	tick, stopped := time.NewTicker(10*time.Second), make(chan struct{})
	go func() {
		for {
			select {
			case <-tick.C:
				say("%s: %d of %d", what, at(), of)
			case <-stopped:
				return
			}
		}
	}()
	return func() {
		tick.Stop()
		close(stopped)
	}
}

// look starts everything anew and measures with so many requests in flight.
func (s size) look(ctx context.Context, h *house, goes policies, n int) (one stand, err error) {
	one.InFlight = n
	h.stopServices()
	began := time.Now()
	if err := h.restartNATS(); err != nil {
		return one, err
	}
	one.NATSStart = time.Since(began).Seconds()
	began = time.Now()
	if err := h.startServices(ctx); err != nil {
		return one, err
	}
	one.Start = time.Since(began).Seconds()
	beside, err := s.lifecycles(ctx, h, goes)
	if err != nil {
		return one, err
	}
	one.LifecyclesPerSecond, one.Processor = beside.perSecond, beside.processor
	one.Memory, one.Disk = map[string]int64{}, map[string]int64{}
	for _, part := range h.parts {
		if err := part.Collect(); err != nil {
			return one, err
		}
	}
	for part, use := range h.used() {
		one.Memory[part] = use.Memory
	}
	for _, part := range []string{partNATS, partPostgres} {
		one.Disk[part] = onDisk(filepath.Join(h.dir, part))
	}
	return one, nil
}

// restartNATS starts NATS anew over its store, on its address.
func (h *house) restartNATS() error {
	addr := strings.TrimPrefix(h.parts[partNATS].URL, "nats://")
	h.parts[partNATS].Stop()
	return h.startNATS(addr)
}

// onDisk is the size of all files in a folder.
func onDisk(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // files come and go
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}
