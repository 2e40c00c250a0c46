package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"text/tabwriter"

	"github.com/parley-dsr/parley/bench/internal/load"
)

// rates are what the file gets of lifecycles and floor under one flush setting.
type rates struct {
	LifecyclesPerSecond float64 `json:"lifecycles_per_second"`
	FloorPerSecond      float64 `json:"floor_per_second"`
	// Ratio is the median of those of the turns, ProcessorRatio what the floor
	// takes of processors beside what a lifecycle takes, Postgres included.
	Ratio          float64 `json:"ratio"`
	ProcessorRatio float64 `json:"processor_ratio"`
	// Processor is microseconds a lifecycle, by part.
	Processor      map[string]float64 `json:"processor_us_per_lifecycle"`
	FloorProcessor map[string]float64 `json:"processor_us_per_floor"`
	// Behind is what the read model needed after the last lifecycle.
	Behind float64 `json:"read_model_behind_seconds"`
	// Stored are messages a lifecycle, FloorStored those of the floor.
	Stored      float64 `json:"stored_per_lifecycle"`
	FloorStored float64 `json:"stored_per_floor"`
}

// results are what the file gets. What was not played is left out.
type results struct {
	Always      *rates `json:"always,omitempty"`
	Lazy        *rates `json:"lazy,omitempty"`
	Processors  int    `json:"processors"`
	Connections int    `json:"connections"`
	Concurrency int    `json:"concurrency"`
	InFlight    int    `json:"in_flight"`
	Pairs       int    `json:"pairs"`
	Scale       string `json:"scale"`
}

func newResults(s size) *results {
	return &results{
		Processors: runtime.NumCPU(), Connections: s.connections, Concurrency: s.concurrency, InFlight: s.inFlight, Pairs: s.pairs, Scale: s.scale,
	}
}

// throughput keeps the medians of the turns.
func (r *results) throughput(name string, lifecycles, floors []turn) error {
	of := func(turns []turn, figure func(i int, t turn) float64) float64 {
		var all []float64
		for i, t := range turns {
			all = append(all, figure(i, t))
		}
		return load.Median(all)
	}
	parts := func(turns []turn) map[string]float64 {
		all := map[string]float64{}
		for part := range turns[0].processor {
			all[part] = of(turns, func(_ int, t turn) float64 { return t.processor[part] })
		}
		return all
	}
	perSecond := func(_ int, t turn) float64 { return t.perSecond }
	got := &rates{
		LifecyclesPerSecond: of(lifecycles, perSecond), FloorPerSecond: of(floors, perSecond),
		Ratio:          of(lifecycles, func(i int, t turn) float64 { return t.perSecond / floors[i].perSecond }),
		ProcessorRatio: of(lifecycles, func(i int, t turn) float64 { return floors[i].all() / t.all() }),
		Processor:      parts(lifecycles), FloorProcessor: parts(floors),
		Behind:      of(lifecycles, func(_ int, t turn) float64 { return t.behind.Seconds() }),
		Stored:      of(lifecycles, func(_ int, t turn) float64 { return t.stored }),
		FloorStored: of(floors, func(_ int, t turn) float64 { return t.stored }),
	}
	switch name {
	case "always":
		r.Always = got
	case "lazy":
		r.Lazy = got
	}
	return nil
}

// save writes the results, if somebody wants them.
func (r *results) save(file string) error {
	if file == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // results are for all
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644) //nolint:gosec // results are for all
}

// print prints what was found.
func (r *results) print(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(table, format+"\n", args...) }
	r.printRates(line)
	_ = table.Flush()
	_, _ = fmt.Fprintf(out, "%d processors, %d connections with %d calls in flight each, %d lifecycles in flight, medians of %d turns\n",
		r.Processors, r.Connections, r.Concurrency, r.InFlight, r.Pairs)
}

func (r *results) printRates(line func(string, ...any)) {
	if r.Always == nil && r.Lazy == nil {
		return
	}
	line("flush\tlifecycles/s\tfloor/s\tratio\tby processor time\tstored (floor)\tread model behind")
	for _, one := range []struct {
		name string
		*rates
	}{{"always", r.Always}, {"2m", r.Lazy}} {
		if one.rates == nil {
			continue
		}
		line("%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.1f (%.0f)\t%.2f s", one.name, one.LifecyclesPerSecond, one.FloorPerSecond, one.Ratio,
			one.ProcessorRatio, one.Stored, one.FloorStored, one.Behind)
	}
	line("")
	line("processor, µs a lifecycle\talways\tfloor\t2m\tfloor")
	figure := func(r *rates, of func(*rates) map[string]float64, part string) string {
		if r == nil {
			return ""
		}
		if v, ok := of(r)[part]; ok {
			return fmt.Sprintf("%.0f", v)
		}
		return "-"
	}
	whole, bare := func(r *rates) map[string]float64 { return r.Processor }, func(r *rates) map[string]float64 { return r.FloorProcessor }
	for _, part := range append([]string{"clients", partReceiver, partNATS, partPostgres}, services...) {
		line("%s\t%s\t%s\t%s\t%s", part, figure(r.Always, whole, part), figure(r.Always, bare, part), figure(r.Lazy, whole, part), figure(r.Lazy, bare, part))
	}
	line("")
}
