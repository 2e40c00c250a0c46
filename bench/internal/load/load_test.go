package load

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

var errSome = errors.New("some")

func TestFigures(t *testing.T) {
	t.Parallel()
	if Median(nil) != 0 || Milliseconds(nil, .99) != 0 {
		t.Error("nothing has a figure")
	}
	for want, values := range map[float64][]float64{2: {3, 1, 2}, 3: {1, 4, 3, 2}, 7: {7}} {
		if got := Median(values); got != want {
			t.Errorf("the median of %v is %g", values, got)
		}
	}
	times := make([]time.Duration, 200)
	for i := range times {
		times[i] = time.Duration(200-i) * time.Millisecond
	}
	for part, want := range map[float64]float64{0: 1, .5: 100, .99: 198, 1: 200} {
		if got := Milliseconds(times, part); got != want {
			t.Errorf("%g: %g, want %g", part, got, want)
		}
	}
}

// What is done before the window begins does not count.
func TestClosedCountsTheWindow(t *testing.T) {
	t.Parallel()
	const workers = 3
	var begun, edges atomic.Int64
	hold := make(chan struct{})
	n, took, err := Closed{InFlight: workers, Window: time.Millisecond, Edge: func() {
		if edges.Add(1) == 2 {
			close(hold)
		}
	}}.Run(t.Context(), func(context.Context) error {
		begun.Add(1)
		<-hold // until the window is over
		return nil
	})
	if err != nil || edges.Load() != 2 || took < time.Millisecond {
		t.Errorf("%v, %d edges, %s", err, edges.Load(), took)
	}
	if n != 0 {
		t.Errorf("%d are counted, and none was done in the window", n)
	}
}

func TestFailuresEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, _, err := Closed{InFlight: 2, Window: time.Hour}.Run(ctx, func(context.Context) error { return errSome })
	if !errors.Is(err, errSome) {
		t.Errorf("closed: %v", err)
	}
	err = Open(ctx, 2, 1e-6, func(context.Context, int, time.Time) error { return errSome })
	if !errors.Is(err, errSome) {
		t.Errorf("open: %v", err)
	}
	if err := Each(10, 3, func(int) error { return errSome }); !errors.Is(err, errSome) {
		t.Errorf("each: %v", err)
	}
}

func TestAllAreDone(t *testing.T) {
	t.Parallel()
	var opened, each atomic.Int64
	err := Open(t.Context(), 50, 1e4, func(_ context.Context, i int, _ time.Time) error { opened.Add(int64(i)); return nil })
	if err != nil || opened.Load() != 1225 {
		t.Errorf("open: %v, %d", err, opened.Load())
	}
	if err := Each(50, 7, func(i int) error { each.Add(int64(i)); return nil }); err != nil || each.Load() != 1225 {
		t.Errorf("each: %v, %d", err, each.Load())
	}
}
