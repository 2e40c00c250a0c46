package main

import (
	"context"
	"fmt"

	"github.com/parley-dsr/parley/bench/internal/load"
	"github.com/parley-dsr/parley/bench/internal/parts"
)

// crowds are numbers of busy connections that are compared.
var crowds = []int{4, 50, 500}

// lane is what lifecycles reach over a number of connections.
type lane struct {
	Connections         int                `json:"connections"`
	LifecyclesPerSecond float64            `json:"lifecycles_per_second"`
	Processor           map[string]float64 `json:"processor_us_per_lifecycle"`
}

// lanes takes turns between numbers of connections, with the same number of
// lifecycles in flight.
func (s size) lanes(ctx context.Context, h *house, r *results) error {
	s.window /= 2
	keys, turns := map[int]policies{}, map[int][]turn{}
	for _, n := range crowds {
		say("configuring %d connections", n)
		var err error
		if keys[n], err = h.configure(ctx, fmt.Sprintf("of%d", n), n, parts.PathGo); err != nil {
			return err
		}
	}
	for range s.pairs {
		for _, n := range crowds {
			t, err := s.lifecycles(ctx, h, keys[n])
			if err != nil {
				return fmt.Errorf("%d connections: %w", n, err)
			}
			say("%d busy connections: %.0f lifecycles/s", n, t.perSecond)
			turns[n] = append(turns[n], t)
		}
	}
	for _, n := range crowds {
		r.Lanes = append(r.Lanes, lane{
			Connections: n, LifecyclesPerSecond: medianOf(turns[n], func(t turn) float64 { return t.perSecond }), Processor: processorOf(turns[n]),
		})
	}
	return nil
}

// medianOf is the median of a figure of turns.
func medianOf(turns []turn, figure func(turn) float64) float64 {
	var all []float64
	for _, t := range turns {
		all = append(all, figure(t))
	}
	return load.Median(all)
}

// processorOf gives the medians of the parts.
func processorOf(turns []turn) map[string]float64 {
	all := map[string]float64{}
	for part := range turns[0].processor {
		all[part] = medianOf(turns, func(t turn) float64 { return t.processor[part] })
	}
	return all
}
