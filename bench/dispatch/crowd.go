package main

import (
	"context"
	"fmt"

	"github.com/parley-dsr/parley/bench/internal/stage"
)

// crowd compares as many busy lanes among as many connections, and among a
// crowd of connections without calls.
func crowd(ctx context.Context, s size) error {
	var few, many []float64
	for range s.runs {
		for _, connections := range []int{s.lanes, s.crowd} {
			rate, err := busyRate(ctx, s, connections)
			if err != nil {
				return err
			}
			fmt.Printf("%d busy of %d connections: %8.0f calls/s\n", s.lanes, connections, rate)
			if connections == s.lanes {
				few = append(few, rate)
			} else {
				many = append(many, rate)
			}
		}
	}
	result := map[string]float64{"few_per_second": median(few), "many_per_second": median(many)}
	result["ratio"] = result["many_per_second"] / result["few_per_second"]
	fmt.Printf("ratio %.2f\n", result["ratio"])
	return s.save(result)
}

func busyRate(ctx context.Context, s size, connections int) (float64, error) {
	st, err := stage.Build(ctx, s.Options)
	if err != nil {
		return 0, err
	}
	defer st.Close()
	ids := names("crowd", connections)
	const path = stage.PathOK + "crowd"
	if err := st.Connect(ctx, path, ids...); err != nil {
		return 0, err
	}
	n := s.calls / s.lanes
	if err := st.Order(ctx, n, ids[:s.lanes]...); err != nil {
		return 0, err
	}
	return rateOf(ctx, st, path, n*s.lanes)
}
