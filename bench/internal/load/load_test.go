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

func TestClosedCountsTheWindow(t *testing.T) {
	t.Parallel()
	// Nothing is done before the window begins and nothing after it ends.
	open, edges := make(chan struct{}), 0
	var done atomic.Int64
	n, took, err := Closed{InFlight: 3, Window: 50 * time.Millisecond, Edge: func() {
		if edges++; edges == 1 {
			close(open)
		}
	}}.Run(t.Context(), func(context.Context) error {
		<-open
		done.Add(1)
		return nil
	})
	if err != nil || edges != 2 || took < 50*time.Millisecond {
		t.Errorf("%v, %d edges, %s", err, edges, took)
	}
	if total := int(done.Load()); n > total || n < total-3 {
		t.Errorf("%d of %d are counted", n, total)
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
