package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/bench/internal/child"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-scenario", "latency,none"}, {"-scale", "huge"}, {"-connections", "1"}, {"-in-flight", "0"}, {"-pairs", "0"},
		{"-window", "0"}, {"-halted", "0"}, {"-flush", "never"},
	} {
		if err := run(t.Context(), args); !errors.Is(err, errFlags) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	var s size
	if !slices.Equal(s.ratesFor("lazy"), []int{100, 200, 400}) || !slices.Equal(s.ratesFor("always"), []int{50, 100}) {
		t.Error("the usual rates are others")
	}
	if err := s.setRates("5,10"); err != nil || !slices.Equal(s.ratesFor("always"), []int{5, 10}) {
		t.Errorf("%v: %v", s.rates, err)
	}
	for _, text := range []string{"", "0", "1,x"} {
		if err := s.setRates(text); !errors.Is(err, errFlags) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	for last, want := range map[int][]int{100_000: {1000, 10_000, 100_000}, 20_000: {1000, 10_000, 20_000}, 1000: {1000}, 5: {5}} {
		if got := steps(last); !slices.Equal(got, want) {
			t.Errorf("%d: %v", last, got)
		}
	}
}

// The medians are of the turns, each with its neighbour.
func TestRatios(t *testing.T) {
	t.Parallel()
	of := func(perSecond, processor float64) turn {
		return turn{perSecond: perSecond, processor: map[string]float64{"nats": processor}, stored: 19}
	}
	r := newResults(size{})
	r.throughput("lazy", []turn{of(100, 10), of(50, 30), of(80, 20)}, []turn{of(200, 4), of(500, 6), of(100, 5)})
	if r.Always != nil || r.Lazy.LifecyclesPerSecond != 80 || r.Lazy.FloorPerSecond != 200 || r.Lazy.Ratio != .5 ||
		r.Lazy.ProcessorRatio != .25 || r.Lazy.Processor["nats"] != 20 || r.Lazy.Stored != 19 {
		t.Errorf("%+v", r.Lazy)
	}
}

// The file has the names that others read.
func TestFile(t *testing.T) {
	t.Parallel()
	r := newResults(size{})
	turns := []turn{{perSecond: 1, processor: map[string]float64{"nats": 1}}}
	r.throughput("always", turns, turns)
	r.throughput("lazy", turns, turns)
	r.latency(latency{Flush: "always", Rate: 200, FirstCallP50: 9, FirstCallP99: 9})
	r.latency(latency{Flush: "lazy", Rate: 200, FirstCallP50: 1, FirstCallP99: 2})
	r.grown(stand{InFlight: 1000, Start: 9})
	r.grown(stand{InFlight: 100_000, Start: 3})
	got := read(t, r)
	for _, flush := range []string{"always", "lazy"} {
		of, _ := got[flush].(map[string]any)
		for _, name := range []string{"lifecycles_per_second", "floor_per_second", "ratio"} {
			if of[name] != 1.0 {
				t.Errorf("%s of %s: %v", name, flush, of[name])
			}
		}
	}
	for name, want := range map[string]float64{"first_call_p50_ms_at_200": 1, "first_call_p99_ms_at_200": 2, "start_seconds_at_100k": 3} {
		if got[name] != want {
			t.Errorf("%s: %v", name, got[name])
		}
	}
	var table strings.Builder
	r.print(&table)
	if !strings.Contains(table.String(), "100000") {
		t.Error(table.String())
	}
}

// What was not measured does not stand there as 0.
func TestWhatWasNotPlayed(t *testing.T) {
	t.Parallel()
	got := read(t, newResults(size{}))
	for _, name := range []string{"always", "lazy", "first_call_p50_ms_at_200", "start_seconds_at_100k"} {
		if v, ok := got[name]; ok {
			t.Errorf("%s: %v", name, v)
		}
	}
}

func read(t *testing.T, r *results) map[string]any {
	t.Helper()
	file := filepath.Join(t.TempDir(), "out", "lifecycle.json")
	if err := r.save(file); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return got
}

func TestWatcher(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w := &watcher{waiting: map[string]chan struct{}{}, early: map[string]bool{}}
	w.note("early", false)
	go w.note("late", false)
	for _, id := range []string{"early", "late"} {
		if err := w.await(ctx, id); err != nil {
			t.Error(err)
		}
	}
	if err := w.awaitCount(ctx, 2); err != nil {
		t.Error(err)
	}
	w.note("failed", true)
	if w.problem() == nil || w.awaitCount(ctx, 3) == nil {
		t.Error("a failure was not told")
	}
}

func TestProcessorTimeOfAWindow(t *testing.T) {
	t.Parallel()
	at := func(nats time.Duration) map[string]child.Use { return map[string]child.Use{"nats": {Processor: nats}} }
	got := per(100, []map[string]child.Use{at(time.Second), at(2 * time.Second)})
	if got["nats"] != 10_000 {
		t.Error(got)
	}
}
