package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/parley-dsr/parley/bench/internal/load"
	"github.com/parley-dsr/parley/bench/internal/parts"
)

// latency is what was measured at one rate, in milliseconds.
type latency struct {
	Flush        string  `json:"flush"`
	Rate         int     `json:"rate"`
	FirstCallP50 float64 `json:"first_call_p50_ms"`
	FirstCallP99 float64 `json:"first_call_p99_ms"`
	NextCallP50  float64 `json:"resume_to_next_call_p50_ms"`
	NextCallP99  float64 `json:"resume_to_next_call_p99_ms"`
}

// latency measures at each rate of a flush setting. A time begins when its
// request was due, so that waiting for the client counts, too, and ends when the
// called system has read the headers of the call.
func (s size) latency(ctx context.Context, flush, sync string, r *results) error {
	h, err := build(ctx, sync, s.concurrency)
	if err != nil {
		return err
	}
	defer h.close()
	goes, err := h.configure(ctx, "go", s.connections, parts.PathGo)
	if err != nil {
		return err
	}
	halts, err := h.configure(ctx, "halt", s.connections, parts.PathHalt)
	if err != nil {
		return err
	}
	if _, err := s.lifecycles(ctx, h, goes); err != nil { // so that everything is warm
		return err
	}
	for _, rate := range s.ratesFor(flush) {
		n := max(int(s.lasting.Seconds()*float64(rate)), 1)
		first, err := h.firstCalls(ctx, goes, n, rate)
		if err != nil {
			return fmt.Errorf("first calls at %d/s: %w", rate, err)
		}
		next, err := h.nextCalls(ctx, halts, n, rate)
		if err != nil {
			return fmt.Errorf("resumes at %d/s: %w", rate, err)
		}
		l := latency{
			Flush: flush, Rate: rate,
			FirstCallP50: load.Milliseconds(first, .5), FirstCallP99: load.Milliseconds(first, .99),
			NextCallP50: load.Milliseconds(next, .5), NextCallP99: load.Milliseconds(next, .99),
		}
		say("flush %s, %d/s: first call p50 %.1f ms, p99 %.1f ms; resume to next call p50 %.1f ms, p99 %.1f ms",
			sync, rate, l.FirstCallP50, l.FirstCallP99, l.NextCallP50, l.NextCallP99)
		r.latency(l)
	}
	return nil
}

// firstCalls submits n requests at a rate, and gives the times to their first
// calls.
func (h *house) firstCalls(ctx context.Context, keys policies, n, rate int) ([]time.Duration, error) {
	h.seen.reset(true)
	var mu sync.Mutex
	due := map[string]time.Time{}
	err := load.Open(ctx, n, float64(rate), func(ctx context.Context, i int, at time.Time) error {
		ids, err := h.create(ctx, keys[i%len(keys)], 1)
		mu.Lock()
		defer mu.Unlock()
		for _, id := range ids {
			due[id] = at
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := h.seen.awaitCount(ctx, n); err != nil {
		return nil, err
	}
	return h.until(ctx, due, h.quiet)
}

// nextCalls has n requests halted, resumes them at a rate, and gives the times
// to the calls that follow.
func (h *house) nextCalls(ctx context.Context, keys policies, n, rate int) ([]time.Duration, error) {
	halted, err := h.halt(ctx, keys, n)
	if err != nil {
		return nil, err
	}
	h.seen.reset(true)
	due, begin := map[string]time.Time{}, time.Now()
	err = load.Open(ctx, len(halted), float64(rate), func(ctx context.Context, i int, _ time.Time) error {
		return h.resume(ctx, halted[i].ID)
	})
	if err != nil {
		return nil, err
	}
	for i, c := range halted {
		due[requestOf(c)] = begin.Add(time.Duration(float64(i) / float64(rate) * float64(time.Second)))
	}
	if err := h.seen.awaitCount(ctx, len(halted)); err != nil {
		return nil, err
	}
	return h.until(ctx, due, h.quiet)
}

// halt has n requests halted by their first call, and gives these calls.
func (h *house) halt(ctx context.Context, keys policies, n int) ([]parts.Call, error) {
	if _, err := h.calls(ctx); err != nil {
		return nil, err
	}
	h.seen.reset(true)
	if err := h.submit(ctx, keys, n); err != nil {
		return nil, err
	}
	if err := h.seen.awaitCount(ctx, n); err != nil {
		return nil, err
	}
	if err := h.quiet(ctx); err != nil {
		return nil, err
	}
	calls, err := h.calls(ctx)
	if err != nil {
		return nil, err
	}
	var halted []parts.Call
	for _, of := range calls {
		halted = append(halted, of[0])
	}
	if len(halted) != n {
		return nil, fmt.Errorf("%d of %d requests were called", len(halted), n)
	}
	return halted, nil
}

// until gives the times from a moment of each request to its first call since
// the receiver was asked the last time.
func (h *house) until(ctx context.Context, due map[string]time.Time, quiet func(context.Context) error) ([]time.Duration, error) {
	if err := errors.Join(h.seen.problem(), quiet(ctx)); err != nil {
		return nil, err
	}
	calls, err := h.calls(ctx)
	if err != nil {
		return nil, err
	}
	took := make([]time.Duration, 0, len(due))
	for id, at := range due {
		of := calls[id]
		if len(of) == 0 {
			return nil, fmt.Errorf("request %s was not called", id)
		}
		took = append(took, of[0].At.Sub(at))
	}
	return took, nil
}
