package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// StopWithin is the time between the first signal and the end of the process.
const StopWithin = 20 * time.Second

// Main is the body of main. It runs until run returns. SIGINT or SIGTERM cancels
// its context; run then has StopWithin to end, a second signal does not wait.
//
// An error is one line on standard error, "parley-<service>: <error>" (for the
// service "parley": "parley: <error>"), and exit code 1, or the one that the
// error names with a method ExitCode() int. Ending with the context is no error.
//
// What libraries write to the standard log goes nowhere: net/http repeats there
// what a receiver said beside its answer, as often as the receiver likes.
func Main(service string, run func(ctx context.Context, environ map[string]string) error) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	environ := Environ()
	collectSeldom(environ)
	log.SetOutput(io.Discard)
	os.Exit(mainCode(mainProcess{
		name: programName(service), environ: environ, signals: signals, stderr: os.Stderr, within: StopWithin,
	}, run))
}

func programName(service string) string {
	if service == "parley" {
		return service
	}
	return "parley-" + service
}

// mainProcess is the outside world of Main.
type mainProcess struct {
	name    string
	environ map[string]string
	signals <-chan os.Signal
	stderr  io.Writer
	within  time.Duration
}

func mainCode(p mainProcess, run func(ctx context.Context, environ map[string]string) error) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, p.environ) }()

	err := p.wait(cancel, ended)
	if err == nil || (ctx.Err() != nil && errors.Is(err, context.Canceled)) {
		return 0
	}
	_, _ = fmt.Fprintf(p.stderr, "%s: %s\n", p.name, oneLine(err))
	var coded interface {
		error
		ExitCode() int
	}
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
}

// wait returns what run returned, or why it was not waited for.
func (p mainProcess) wait(cancel func(), ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-p.signals:
		cancel()
	}
	deadline := time.NewTimer(p.within)
	defer deadline.Stop()
	select {
	case err := <-ended:
		return err
	case <-p.signals:
		return errors.New("a second signal arrived, stopped at once")
	case <-deadline.C:
		return fmt.Errorf("%w (%s after the signal)", ErrDrain, p.within)
	}
}
