package main

import (
	"context"
	"fmt"

	"github.com/parley-dsr/parley/bench/internal/stage"
)

// crowd compares as many busy lanes among as many connections, and among a
// crowd of connections without calls.
func crowd(ctx context.Context, s size) error {
	var few, many []measured
	for range s.runs {
		for _, connections := range []int{s.lanes, s.crowd} {
			m, err := busyRate(ctx, s, connections)
			if err != nil {
				return err
			}
			fmt.Printf("%d busy of %d connections: %8.0f calls/s, %.0f µs of processors a call\n", s.lanes, connections, m.rate, m.processor)
			if connections == s.lanes {
				few = append(few, m)
			} else {
				many = append(many, m)
			}
		}
	}
	return s.compared("few", few, "many", many)
}

func busyRate(ctx context.Context, s size, connections int) (m measured, err error) {
	st, err := stage.Build(ctx, s.Options)
	if err != nil {
		return m, err
	}
	defer st.Close()
	ids := names("crowd", connections)
	const path = stage.PathOK + "crowd"
	if err := st.Connect(ctx, path, ids...); err != nil {
		return m, err
	}
	n := s.calls / s.lanes
	if err := st.Order(ctx, n, ids[:s.lanes]...); err != nil {
		return m, err
	}
	return rateOf(ctx, st, path, n*s.lanes)
}
