package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/parley-dsr/parley/bench/internal/child"
	"github.com/parley-dsr/parley/internal/process"
)

var errFailed = errors.New("tests failed")

// The test binary plays the roles, too.
func TestMain(m *testing.M) {
	process.Main("bench-floor", func(ctx context.Context, environ map[string]string) error {
		if played, err := child.Play(ctx, environ, roles()); played {
			return err
		}
		if code := m.Run(); code != 0 {
			return errFailed
		}
		return nil
	})
}

// It is played small: that it runs to its end. The figures mean nothing at this
// size.
func TestFloor(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := run(ctx, []string{"-in-flight", "4", "-warm", "0", "-window", "100ms", "-messages", "50"}); err != nil {
		t.Fatal(err)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-connections", "1"}, {"-in-flight", "0"}, {"-window", "0"}, {"-messages", "0"}, {"-concurrency", "0"}} {
		if err := run(t.Context(), args); !errors.Is(err, errFlags) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestRateOfNATSBench(t *testing.T) {
	t.Parallel()
	const several = `NATS JetStream synchronous publisher aggregated stats: 12,345 msgs/sec ~ 12 MiB/sec
 [1] 1,234 msgs/sec ~ 1.2 MiB/sec ~ 810.2us (100 msgs)
 [2] 2,234 msgs/sec ~ 2.2 MiB/sec ~ 410.2us (100 msgs)`
	if got, err := rateIn(several); err != nil || got != 12345 {
		t.Errorf("%g, %v", got, err)
	}
	if _, err := rateIn("nothing"); !errors.Is(err, errRate) {
		t.Errorf("nothing: %v", err)
	}
}
