// Command dispatch measures the dispatcher. Each scenario prints what it has
// found, and fails where a promise is broken:
//
//	calls      calls a second over TLS, beside a bare loop of net/http posts
//	isolation  nine healthy lanes, alone and beside one that is dead
//	crowd      twenty busy lanes among twenty connections, and among thousands
//	retries    scheduled retries over a restart of NATS and of the dispatcher
//	failover   two dispatchers that share calls, one of which is killed
//	cost       memory for a connection without calls, and for an open lane
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/parley-dsr/parley/bench/internal/stage"
	"github.com/parley-dsr/parley/internal/process"
)

func main() {
	process.Main("bench-dispatch", func(ctx context.Context, environ map[string]string) error {
		if ran, err := stage.Role(ctx, environ); ran {
			return err
		}
		return run(ctx, os.Args[1:])
	})
}

// size is how large a scenario is played.
type size struct {
	stage.Options
	calls int
	lanes int
	crowd int
	runs  int
	delay time.Duration
	out   string
	// profile is a folder for profiles.
	profile string
}

const usage = `Measure the dispatcher: bench-dispatch [scenario] [flags]

  calls      calls a second over TLS, beside a bare loop of net/http posts (the usual one)
  isolation  nine healthy lanes, alone and beside one that is dead
  crowd      twenty busy lanes among twenty connections, and among thousands
  retries    scheduled retries over a restart of NATS and of the dispatcher
  failover   two dispatchers that share calls, one of which is killed
  cost       memory for a connection without calls, and for an open lane

The flags of a scenario: bench-dispatch <scenario> -h
`

var scenarios = map[string]func(context.Context, size) error{
	"calls": calls, "isolation": isolation, "crowd": crowd, "retries": retries, "failover": failover, "cost": cost,
}

// usually is the size at which a scenario is played unless flags say otherwise.
var usually = map[string]size{
	"calls":     {calls: 20_000, lanes: 4},
	"isolation": {calls: 18_000, lanes: 9},
	"crowd":     {calls: 20_000, lanes: 20},
	"retries":   {calls: 10_000, lanes: 4},
	"failover":  {calls: 20_000, lanes: 4},
	"cost":      {lanes: 500},
}

func run(ctx context.Context, args []string) error {
	scenario := "calls"
	if len(args) > 0 && (args[0] == "-h" || args[0] == "--help") {
		fmt.Print(usage)
		return nil
	}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		scenario, args = args[0], args[1:]
	}
	play, ok := scenarios[scenario]
	if !ok {
		return fmt.Errorf("no scenario %q; -h lists them", scenario)
	}
	var s size
	flags := flag.NewFlagSet("dispatch "+scenario, flag.ContinueOnError)
	usual := usually[scenario]
	flags.IntVar(&s.calls, "calls", usual.calls, "number of calls")
	flags.IntVar(&s.lanes, "lanes", usual.lanes, "lanes with work")
	flags.IntVar(&s.crowd, "connections", 3000, "connections of the crowd")
	flags.IntVar(&s.runs, "runs", 3, "how often a comparison is run; the median counts")
	flags.DurationVar(&s.delay, "delay", 40*time.Second, "how long retries wait")
	flags.IntVar(&s.Concurrency, "concurrency", 16, "calls in flight to one connection")
	flags.DurationVar(&s.Timeout, "timeout", 5*time.Second, "deadline of one attempt")
	flags.StringVar(&s.Sync, "sync", "2m", `when NATS flushes: "always", or a duration`)
	flags.StringVar(&s.out, "out", "", "file for the results, JSON")
	flags.StringVar(&s.profile, "profile", "", "folder for profiles of dispatcher, NATS and receiver: processors, allocations, blocking (calls)")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	return play(ctx, s)
}

// save writes the results, if somebody wants them.
func (s size) save(results any) error {
	if s.out == "" {
		return nil
	}
	data, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.out), 0o755); err != nil { //nolint:gosec // results are for all
		return err
	}
	return os.WriteFile(s.out, append(data, '\n'), 0o644) //nolint:gosec // results are for all
}

// names gives ids of connections.
func names(prefix string, n int) []string {
	ids := make([]string, 0, n)
	for i := range n {
		ids = append(ids, fmt.Sprintf("con_%s_%d", prefix, i))
	}
	return ids
}

// perSecond is a rate.
func perSecond(n int, took time.Duration) float64 { return float64(n) / took.Seconds() }
