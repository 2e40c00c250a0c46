// Command lifecycle measures Parley as a whole: four services, NATS, Postgres
// and a called system over TLS, each in processes of its own on this machine,
// with the settings that they have by default. A lifecycle is a request that is
// submitted over REST, calls one two_way webhook, is executed by nobody
// (PARLEY_EXECUTION=immediate), calls one one_way webhook, and is complete.
//
//	throughput  lifecycles a second, beside the floor (package floor) in turns
//	lanes       the same over 4, 50 and 500 busy connections
//	latency     from a creation to the first call, and from a resume to the next,
//	            at fixed rates
//	growth      memory, speed and start with many requests halted
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-dsr/parley/bench/internal/child"
	"github.com/parley-dsr/parley/internal/process"
)

func main() {
	process.Main("bench-lifecycle", func(ctx context.Context, environ map[string]string) error {
		if played, err := child.Play(ctx, environ, roles()); played {
			return err
		}
		return run(ctx, os.Args[1:])
	})
}

// size is how large the benchmark is played.
type size struct {
	scenario    string
	scale       string
	connections int
	concurrency int
	inFlight    int
	pairs       int
	warm        time.Duration
	window      time.Duration
	lasting     time.Duration
	halted      int
	flush       string
	out         string
	profile     string
	rates       []int
}

// flush settings of NATS, as the results name them.
var flushes = []struct{ name, sync string }{{"always", "always"}, {"lazy", "2m"}}

const usage = `Measure lifecycles over the real stack: bench-lifecycle [flags]

A lifecycle: create over REST, a two_way webhook, execution, a one_way webhook, complete.
Four services, NATS, Postgres and a receiver over TLS run as processes on this machine.

`

var scenarios = []string{"throughput", "lanes", "latency", "growth"}

var errFlags = errors.New("want numbers above 0, at least 2 connections, scale full or small, flush always, lazy or both, and a scenario")

func run(ctx context.Context, args []string) error {
	var s size
	flags := flag.NewFlagSet("lifecycle", flag.ContinueOnError)
	flags.Usage = func() {
		_, _ = fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&s.scenario, "scenario", "all", "all, or some of "+strings.Join(scenarios, ",")+", separated by commas")
	flags.StringVar(&s.scale, "scale", "full", "full, or small: a quick look, whose figures mean less")
	flags.IntVar(&s.connections, "connections", 4, "busy connections (throughput, latency, growth)")
	flags.IntVar(&s.concurrency, "concurrency", 16, "calls in flight to one connection (PARLEY_LANE_CONCURRENCY)")
	flags.IntVar(&s.inFlight, "in-flight", 128, "lifecycles in flight in closed loops")
	flags.IntVar(&s.pairs, "pairs", 3, "how often lifecycles and floor take turns; the medians count")
	flags.DurationVar(&s.warm, "warm", 2*time.Second, "what passes of a turn before it counts")
	flags.DurationVar(&s.window, "window", 6*time.Second, "what of a turn counts")
	flags.DurationVar(&s.lasting, "lasting", 8*time.Second, "how long a rate is kept (latency)")
	flags.IntVar(&s.halted, "halted", 100_000, "how many requests are halted in the end (growth)")
	flags.StringVar(&s.flush, "flush", "both", "when NATS flushes: always, lazy (every 2m), or both in turn")
	flags.StringVar(&s.out, "out", "", "file for the results, JSON")
	flags.StringVar(&s.profile, "profile", "", "folder for profiles of the parts: processors, allocations, blocking (throughput)")
	flags.Func("rates", "requests a second, separated by commas (latency; by default 100,200,400, and 50,100 with flush always)", s.setRates)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if s.scale == "small" {
		s.pairs, s.warm, s.window, s.lasting, s.halted = 1, time.Second, 2*time.Second, 2*time.Second, min(s.halted, 2000)
	}
	if err := s.check(); err != nil {
		return err
	}
	return s.play(ctx)
}

func (s size) check() error {
	for _, one := range strings.Split(s.scenario, ",") {
		if one != "all" && !slices.Contains(scenarios, one) {
			return fmt.Errorf("%w: %q is none", errFlags, one)
		}
	}
	if s.scale != "full" && s.scale != "small" || s.connections < 2 || s.concurrency < 1 || s.inFlight < 1 || s.pairs < 1 ||
		s.window <= 0 || s.lasting <= 0 || s.halted < 1 || !slices.Contains([]string{"always", "lazy", "both"}, s.flush) {
		return errFlags
	}
	return nil
}

func (s *size) setRates(text string) error {
	for _, one := range strings.Split(text, ",") {
		rate, err := strconv.Atoi(one)
		if err != nil || rate < 1 {
			return fmt.Errorf("%w: %q is no rate", errFlags, one)
		}
		s.rates = append(s.rates, rate)
	}
	return nil
}

// ratesFor are the rates at which latency is measured under a flush setting.
func (s size) ratesFor(flush string) []int {
	switch {
	case len(s.rates) > 0:
		return s.rates
	case flush == "always":
		return []int{50, 100}
	}
	return []int{100, 200, 400}
}

func (s size) plays(scenario string) bool {
	return s.scenario == "all" || slices.Contains(strings.Split(s.scenario, ","), scenario)
}

func (s size) flushes(name string) bool { return s.flush == "both" || s.flush == name }

// play plays the scenarios that are wanted and tells what was found, also where
// one has failed and the others have not.
func (s size) play(ctx context.Context) error {
	r := newResults(s)
	err := s.playAll(ctx, r)
	r.print(os.Stdout)
	if err != nil {
		return err
	}
	return r.save(s.out)
}

func (s size) playAll(ctx context.Context, r *results) error {
	for _, flush := range flushes {
		if !s.flushes(flush.name) {
			continue
		}
		if s.plays("throughput") || s.plays("lanes") && flush.name == "lazy" {
			if err := s.throughput(ctx, flush.name, flush.sync, r); err != nil {
				return fmt.Errorf("throughput, flush %s: %w", flush.sync, err)
			}
		}
		if s.plays("latency") {
			if err := s.latency(ctx, flush.name, flush.sync, r); err != nil {
				return fmt.Errorf("latency, flush %s: %w", flush.sync, err)
			}
		}
	}
	if s.plays("growth") {
		if err := s.growth(ctx, r); err != nil {
			return fmt.Errorf("growth: %w", err)
		}
	}
	return nil
}

// say tells how far it is.
func say(format string, args ...any) { _, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) }
