package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-dsr/parley/bench/internal/stage"
	"github.com/parley-dsr/parley/internal/process"
)

var errFailed = errors.New("tests failed")

// The test binary plays the roles, too.
func TestMain(m *testing.M) {
	process.Main("bench-dispatch", func(ctx context.Context, environ map[string]string) error {
		if ran, err := stage.Role(ctx, environ); ran {
			return err
		}
		if code := m.Run(); code != 0 {
			return errFailed
		}
		return nil
	})
}

// Every scenario is played small: that it runs, and that what it checks holds.
// The figures mean nothing at this size.
func TestScenarios(t *testing.T) {
	for name, args := range map[string][]string{
		"calls":     {"-calls", "200"},
		"isolation": {"-calls", "180", "-runs", "1", "-timeout", "2s"},
		"cost":      {"-lanes", "10", "-connections", "20"},
		"crowd":     {"-calls", "200", "-connections", "60", "-runs", "1"},
		"retries":   {"-calls", "50", "-delay", "15s", "-timeout", "30s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
			defer cancel()
			out := filepath.Join(t.TempDir(), "out", "results.json")
			args = append([]string{name, "-out", out}, args...)
			err := run(ctx, args)
			if errors.Is(err, errDelay) { // a busy machine gets more time
				err = run(ctx, append(args, "-delay", "90s"))
			}
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			var results map[string]any
			if err := json.Unmarshal(data, &results); err != nil || len(results) == 0 {
				t.Errorf("%s: %v", data, err)
			}
		})
	}
}
