package process

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMainCode(t *testing.T) {
	t.Parallel()
	untilCanceled := func(ctx context.Context, _ map[string]string) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for name, test := range map[string]struct {
		signals int
		within  time.Duration // a minute if it is not set
		run     func(context.Context, map[string]string) error
		code    int
		line    string
	}{
		"an end":               {run: func(context.Context, map[string]string) error { return nil }},
		"a signal":             {signals: 1, run: untilCanceled},
		"an error":             {run: func(context.Context, map[string]string) error { return errors.New("broken") }, code: 1, line: "parley-config: broken\n"},
		"an error of lines":    {run: func(context.Context, map[string]string) error { return errors.Join(errors.New("a"), errors.New("b")) }, code: 1, line: "parley-config: a; b\n"},
		"canceled by itself":   {run: func(context.Context, map[string]string) error { return context.Canceled }, code: 1, line: "parley-config: context canceled\n"},
		"an error of stopping": {signals: 1, run: func(ctx context.Context, _ map[string]string) error { <-ctx.Done(); return errors.New("half written") }, code: 1, line: "parley-config: half written\n"},
		"a service that hangs": {signals: 1, within: 50 * time.Millisecond, run: func(context.Context, map[string]string) error { select {} }, code: 1, line: "parley-config: did not stop in time (50ms after the signal)\n"},
		"the environment":      {run: func(_ context.Context, e map[string]string) error { return errors.New(e["NAME"]) }, code: 1, line: "parley-config: value\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signals := make(chan os.Signal, 2)
			for range test.signals {
				signals <- syscall.SIGTERM
			}
			var stderr bytes.Buffer
			code := mainCode(mainProcess{
				name: programName("config"), environ: map[string]string{"NAME": "value"},
				signals: signals, stderr: &stderr, within: cmp.Or(test.within, time.Minute),
			}, test.run)
			if code != test.code || stderr.String() != test.line {
				t.Errorf("code %d, line %q, want %d, %q", code, stderr.String(), test.code, test.line)
			}
		})
	}
}

func TestSecondSignalDoesNotWait(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 2)
	signals <- syscall.SIGINT
	signals <- syscall.SIGINT
	var stderr bytes.Buffer
	code := mainCode(mainProcess{name: "parley", signals: signals, stderr: &stderr, within: time.Hour},
		func(context.Context, map[string]string) error { select {} })
	if code != 1 || stderr.String() != "parley: a second signal arrived, stopped at once\n" {
		t.Errorf("code %d, %q", code, stderr.String())
	}
}

func TestProgramName(t *testing.T) {
	t.Parallel()
	if programName("parley") != "parley" || programName("config") != "parley-config" {
		t.Error("wrong names")
	}
}

func TestRunService(t *testing.T) {
	t.Parallel()
	defaults := map[string]string{"PARLEY_HTTP_ADDR": "127.0.0.1:0", "PARLEY_LOG_LEVEL": "error"}
	environ := map[string]string{"PARLEY_NATS_URL": "nats://127.0.0.1:1", "EXAMPLE_DATABASE_URL": "postgres://h/db"}
	var seen Deps
	run := func(_ context.Context, s example, deps Deps) error {
		seen = deps
		if s.HTTPAddr != "127.0.0.1:0" || s.DatabaseURL != "postgres://h/db" {
			t.Errorf("settings %+v", s)
		}
		return nil
	}
	if err := runService(t.Context(), "example", environ, run, defaults); err != nil {
		t.Fatal(err)
	}
	if seen.NATS == nil || seen.Logger == nil || seen.Registry == nil || seen.Clock == nil || seen.Front == nil || seen.Version == "" {
		t.Errorf("deps %+v", seen)
	}
	if !seen.NATS.IsClosed() {
		t.Error("the connection is still open")
	}
	broken := errors.New("broken")
	if err := runService(t.Context(), "example", environ, func(context.Context, example, Deps) error { return broken }, defaults); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	delete(environ, "PARLEY_NATS_URL")
	err := runService(t.Context(), "example", environ, run, defaults)
	if err == nil || !strings.HasPrefix(err.Error(), "PARLEY_NATS_URL is not set") {
		t.Errorf("error %v", err)
	}
	if err := runService(t.Context(), "example", nil, run, defaults); err == nil || !strings.HasPrefix(err.Error(), "EXAMPLE_DATABASE_URL is not set") {
		t.Errorf("error %v", err)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := flags[example](&out, "config", []string{"--version"}, nil); err != nil || out.String() != "parley-config "+Version()+"\n" {
		t.Errorf("%v %s", err, out.String())
	}
	out.Reset()
	if err := flags[example](&out, "config", []string{"--help"}, nil); err != nil || !strings.Contains(out.String(), "EXAMPLE_DATABASE_URL") {
		t.Errorf("%v %s", err, out.String())
	}
	if err := flags[example](&out, "config", []string{"serve"}, nil); err == nil {
		t.Error("no error for an argument")
	}
}

// misuse is an error with an exit code of its own.
type misuse struct{}

func (misuse) Error() string { return "used wrongly" }
func (misuse) ExitCode() int { return 2 }

func TestErrorsNameTheirExitCode(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	code := mainCode(mainProcess{name: "parley", stderr: &stderr, within: time.Minute},
		func(context.Context, map[string]string) error { return fmt.Errorf("flags: %w", misuse{}) })
	if code != 2 || stderr.String() != "parley: flags: used wrongly\n" {
		t.Errorf("code %d, %q", code, stderr.String())
	}
}
