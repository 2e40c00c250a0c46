package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"

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
	Always *rates `json:"always,omitempty"`
	Lazy   *rates `json:"lazy,omitempty"`
	// At 200 requests a second, flush lazy.
	FirstCallP50 *float64  `json:"first_call_p50_ms_at_200,omitempty"`
	FirstCallP99 *float64  `json:"first_call_p99_ms_at_200,omitempty"`
	Start        *float64  `json:"start_seconds_at_100k,omitempty"`
	Latency      []latency `json:"latency,omitempty"`
	Lanes        []lane    `json:"lanes,omitempty"`
	Growth       []stand   `json:"growth,omitempty"`

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
func (r *results) throughput(name string, lifecycles, floors []turn) {
	perSecond := func(t turn) float64 { return t.perSecond }
	stored := func(t turn) float64 { return t.stored }
	var ratios, processorRatios []float64
	for i, t := range lifecycles {
		ratios = append(ratios, t.perSecond/floors[i].perSecond)
		processorRatios = append(processorRatios, floors[i].all()/t.all())
	}
	got := &rates{
		LifecyclesPerSecond: medianOf(lifecycles, perSecond), FloorPerSecond: medianOf(floors, perSecond),
		Ratio: load.Median(ratios), ProcessorRatio: load.Median(processorRatios),
		Processor: processorOf(lifecycles), FloorProcessor: processorOf(floors),
		Behind: medianOf(lifecycles, func(t turn) float64 { return t.behind.Seconds() }),
		Stored: medianOf(lifecycles, stored), FloorStored: medianOf(floors, stored),
	}
	if name == "always" {
		r.Always = got
		return
	}
	r.Lazy = got
}

// latency keeps what was measured at a rate.
func (r *results) latency(l latency) {
	r.Latency = append(r.Latency, l)
	if l.Flush == "lazy" && l.Rate == 200 {
		r.FirstCallP50, r.FirstCallP99 = &l.FirstCallP50, &l.FirstCallP99
	}
}

// grown keeps what was measured with so many requests in flight.
func (r *results) grown(one stand) {
	r.Growth = append(r.Growth, one)
	if one.InFlight == 100_000 {
		r.Start = &one.Start
	}
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
