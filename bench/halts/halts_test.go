package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/process"
)

var errFailed = errors.New("tests failed")

// The test binary is the NATS server, too.
func TestMain(m *testing.M) {
	process.Main("bench-halts", func(ctx context.Context, environ map[string]string) error {
		if ran, err := role(ctx, environ); ran {
			return err
		}
		if code := m.Run(); code != 0 {
			return errFailed
		}
		return nil
	})
}

// It is played small: that it runs to its end and leaves what it promises. The
// figures mean nothing at this size.
func TestHalts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	out := filepath.Join(t.TempDir(), "out", "halts.json")
	args := []string{"-halts", "50", "-resumes", "20", "-expiring", "10", "-lead", "10s", "-window", "1s", "-settle", "0", "-out", out}
	err := run(ctx, args)
	if errors.Is(err, errLead) { // a busy machine gets more time
		err = run(ctx, append(args, "-lead", "90s"))
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]float64
	if err := json.Unmarshal(data, &got); err != nil || len(got) != 4 || got["halts"] != 50 || got["expiry_lag_p99_ms"] <= 0 || got["resume_p99_ms"] <= 0 {
		t.Errorf("%s: %v", data, err)
	}
	if _, ok := got["bytes_per_halt"]; !ok {
		t.Errorf("%s", data)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-halts", "0"}, {"-halts", "1", "-resumes", "2"}, {"-resumes", "0"}, {"-expiring", "0"}, {"-rate", "0"}} {
		if err := run(t.Context(), args); !errors.Is(err, errSize) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestPercentiles(t *testing.T) {
	t.Parallel()
	l := &lags{}
	if l.at(.99) != 0 {
		t.Error("nothing took some time")
	}
	for n := range 200 {
		l.add(time.Duration(200-n) * time.Millisecond)
	}
	for part, want := range map[float64]float64{0: 1, .5: 100, .99: 198, 1: 200} {
		if got := l.at(part); got != want {
			t.Errorf("%g: %g, want %g", part, got, want)
		}
	}
}
