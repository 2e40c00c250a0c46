// Command halts measures what many halted requests cost, and how soon they end.
//
// Requests are paused as the orchestrator does it, record and fact, and a
// callback service keeps their halts over a NATS server that is a process of
// its own, with its files on disk. Measured is
//
//   - the memory of NATS before and after the halts are kept;
//   - the time from the due end of a halt to its expiry marker, and to the fact
//     that says so, while all the others are halted;
//   - the time from the POST of a resume to its fact, and to its answer, at a
//     fixed rate. The orchestrator is played by this program: it agrees at once.
//
// While NATS is filled it flushes now and then. Then it is started anew with the
// flush of the product, over the same store, and the times are taken.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-dsr/parley/internal/process"
)

func main() {
	process.Main("bench-halts", func(ctx context.Context, environ map[string]string) error {
		if ran, err := role(ctx, environ); ran {
			return err
		}
		return run(ctx, os.Args[1:])
	})
}

// size is how large the benchmark is played.
type size struct {
	halts    int
	resumes  int
	rate     float64
	expiring int
	lead     time.Duration
	window   time.Duration
	settle   time.Duration
	sync     string
	out      string
}

// errSize says that the numbers do not go together.
var errSize = errors.New("want 1 halt or more, from 1 to -halts resumes, and 1 expiring halt or more")

func run(ctx context.Context, args []string) error {
	var s size
	flags := flag.NewFlagSet("halts", flag.ContinueOnError)
	flags.IntVar(&s.halts, "halts", 100_000, "number of halted requests")
	flags.IntVar(&s.resumes, "resumes", 3_000, "how many of them are resumed")
	flags.Float64Var(&s.rate, "rate", 100, "resumes a second")
	flags.IntVar(&s.expiring, "expiring", 10_000, "number of further requests whose halt expires")
	flags.DurationVar(&s.lead, "lead", 60*time.Second, "time from the first of these to the first that is due; all have to be halted by then")
	flags.DurationVar(&s.window, "window", 20*time.Second, "time over which they are due")
	flags.DurationVar(&s.settle, "settle", 15*time.Second, "time that NATS gets to drop its caches before its memory is read; it keeps indexes for 2m")
	flags.StringVar(&s.sync, "sync", "always", `when NATS flushes while times are taken: "always", or a duration`)
	flags.StringVar(&s.out, "out", "", "file for the results, JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.halts < 1 || s.resumes < 1 || s.resumes > s.halts || s.expiring < 1 || s.rate <= 0 {
		return errSize
	}
	return play(ctx, s)
}

// results are what the file gets.
type results struct {
	Halts        int     `json:"halts"`
	BytesPerHalt float64 `json:"bytes_per_halt"`
	ExpiryLagP99 float64 `json:"expiry_lag_p99_ms"`
	ResumeP99    float64 `json:"resume_p99_ms"`
}

// save writes the results, if somebody wants them.
func (s size) save(r results) error {
	if s.out == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.out), 0o755); err != nil { //nolint:gosec // results are for all
		return err
	}
	return os.WriteFile(s.out, append(data, '\n'), 0o644) //nolint:gosec // results are for all
}
