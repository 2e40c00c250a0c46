package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-dsr/parley/bench/internal/stage"
	"github.com/parley-dsr/parley/services/dispatcher"
)

// isolation compares the throughput of healthy lanes alone with the throughput
// beside a lane that hangs every call to the deadline. The runs alternate, so
// that both kinds meet the same machine.
func isolation(ctx context.Context, s size) error {
	var alone, beside []float64
	for range s.runs {
		for _, dead := range []int{0, 1} {
			rate, err := healthyRate(ctx, s, dead)
			if err != nil {
				return err
			}
			fmt.Printf("%d healthy lanes beside %d dead: %8.0f calls/s\n", s.lanes, dead, rate)
			if dead == 0 {
				alone = append(alone, rate)
			} else {
				beside = append(beside, rate)
			}
		}
	}
	result := map[string]float64{"alone_per_second": median(alone), "beside_per_second": median(beside)}
	result["ratio"] = result["beside_per_second"] / result["alone_per_second"]
	fmt.Printf("ratio %.2f\n", result["ratio"])
	return s.save(result)
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

// healthyRate is measured at the receiver, over the calls of the healthy lanes.
// A dead lane has a tenth of their calls.
func healthyRate(ctx context.Context, s size, dead int) (float64, error) {
	st, err := stage.Build(ctx, s.Options)
	if err != nil {
		return 0, err
	}
	defer st.Close()
	healthy := names("healthy", s.lanes)
	const path, hang = stage.PathOK + "healthy", stage.PathHang + "dead"
	if err := st.Connect(ctx, path, healthy...); err != nil {
		return 0, err
	}
	n := s.calls / s.lanes
	for _, id := range names("dead", dead) {
		if err := st.Connect(ctx, hang, id); err != nil {
			return 0, err
		}
		if err := st.Order(ctx, max(n/10, s.Concurrency), id); err != nil {
			return 0, err
		}
	}
	if err := st.Order(ctx, n, healthy...); err != nil {
		return 0, err
	}
	return rateOf(ctx, st, path, n*s.lanes)
}

// rateOf runs a dispatcher until the receiver has got n calls at the path.
func rateOf(ctx context.Context, st *stage.Stage, path string, n int) (float64, error) {
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- dispatcher.Run(running, st.Settings, deps(st)) }()
	_, err := st.Await(ctx, 10*time.Millisecond, func(c stage.Count) bool { return c.ByPath[path] >= n })
	took := time.Since(began)
	stop()
	if stopped := <-ended; err == nil {
		err = stopped
	}
	return perSecond(n, took), err
}
