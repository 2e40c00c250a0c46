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
	var alone, beside []measured
	for range s.runs {
		for _, dead := range []int{0, 1} {
			m, err := healthyRate(ctx, s, dead)
			if err != nil {
				return err
			}
			fmt.Printf("%d healthy lanes beside %d dead: %8.0f calls/s, %.0f µs of processors a call\n", s.lanes, dead, m.rate, m.processor)
			if dead == 0 {
				alone = append(alone, m)
			} else {
				beside = append(beside, m)
			}
		}
	}
	return s.compared("alone", alone, "beside", beside)
}

// measured is what a run has shown.
type measured struct {
	rate      float64 // calls a second
	processor float64 // microseconds of all parts a call
}

// compared prints and saves how the second kind of runs did beside the first.
// On a machine that other work keeps busy the rates differ from run to run by
// more than anything that is compared here, processor time does by less; and
// where processors are what calls wait for, one says as much as the other.
func (s size) compared(first string, a []measured, second string, b []measured) error {
	middle := func(all []measured, of func(measured) float64) float64 {
		values := make([]float64, 0, len(all))
		for _, m := range all {
			values = append(values, of(m))
		}
		return median(values)
	}
	rate, processor := func(m measured) float64 { return m.rate }, func(m measured) float64 { return m.processor }
	result := map[string]float64{
		first + "_per_second": middle(a, rate), second + "_per_second": middle(b, rate),
		first + "_processor_us": middle(a, processor), second + "_processor_us": middle(b, processor),
	}
	result["ratio"] = result[second+"_per_second"] / result[first+"_per_second"]
	result["processor_ratio"] = result[first+"_processor_us"] / result[second+"_processor_us"]
	fmt.Printf("ratio %.2f, and %.2f by processor time\n", result["ratio"], result["processor_ratio"])
	return s.save(result)
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

// healthyRate is measured at the receiver, over the calls of the healthy lanes.
// A dead lane has a tenth of their calls.
func healthyRate(ctx context.Context, s size, dead int) (m measured, err error) {
	st, err := stage.Build(ctx, s.Options)
	if err != nil {
		return m, err
	}
	defer st.Close()
	healthy := names("healthy", s.lanes)
	const path, hang = stage.PathOK + "healthy", stage.PathHang + "dead"
	if err := st.Connect(ctx, path, healthy...); err != nil {
		return m, err
	}
	n := s.calls / s.lanes
	for _, id := range names("dead", dead) {
		if err := st.Connect(ctx, hang, id); err != nil {
			return m, err
		}
		if err := st.Order(ctx, max(n/10, s.Concurrency), id); err != nil {
			return m, err
		}
	}
	if err := st.Order(ctx, n, healthy...); err != nil {
		return m, err
	}
	return rateOf(ctx, st, path, n*s.lanes)
}

// rateOf runs a dispatcher until the receiver has got n calls at the path.
func rateOf(ctx context.Context, st *stage.Stage, path string, n int) (measured, error) {
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	before, began := st.Processor(), time.Now()
	go func() { ended <- dispatcher.Run(running, st.Settings, deps(st)) }()
	_, err := st.Await(ctx, 50*time.Millisecond, func(c stage.Count) bool { return c.ByPath[path] >= n })
	took, used := time.Since(began), st.Processor().Since(before)
	stop()
	if stopped := <-ended; err == nil {
		err = stopped
	}
	all := used.Own + used.NATS + used.Receiver
	return measured{rate: perSecond(n, took), processor: float64(all.Microseconds()) / float64(n)}, err
}
