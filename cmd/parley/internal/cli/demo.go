package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/cmd/parley/internal/allinone"
	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/cmd/parley/internal/story"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/pkg/events"
)

// demoWithin is how long the demo may take before it gives up.
const demoWithin = 60 * time.Second

func demo(environ map[string]string) *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play the story of a privacy request against a receiver of its own",
		Long: `Start the all-in-one in a fresh folder and on free ports, and a receiver over
HTTPS with a certificate authority of its own. Then tell three stories and print
them with times, and beside them the events that an independent subscriber sees:
an erasure request that is halted and resumed, a halt that nobody resumes, and a
webhook that fails, is mended and retried. Nothing is left behind.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), demoWithin,
				fmt.Errorf("the demo did not end within %s", demoWithin))
			defer cancel()
			log := io.Discard
			if verbose {
				log = cmd.ErrOrStderr()
			}
			err := playDemo(ctx, environ, cmd.OutOrStdout(), log)
			if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
				return fmt.Errorf("%w: %w", cause, err)
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the log of the services")
	return cmd
}

// stage is what a demo is played on.
type stage struct {
	environ  map[string]string
	listener net.Listener
	receiver *receiver.Receiver
	dir      string
}

// build makes a folder, an address and a receiver. What is made has to be torn
// down, also after an error.
func (s *stage) build(ctx context.Context, environ map[string]string) (err error) {
	if s.dir, err = os.MkdirTemp("", "parley-demo-"); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	// The private Postgres runs as another user where this one is root.
	if err = os.Chmod(s.dir, 0o755); err != nil { //nolint:gosec // what is private in it is closed by itself
		return fmt.Errorf("demo: %w", err)
	}
	if s.listener, err = process.Socket(ctx, "127.0.0.1:0"); err != nil {
		return err
	}
	s.receiver, err = receiver.Start(receiver.Options{
		Dir: filepath.Join(s.dir, "receiver"), Origin: "http://" + s.listener.Addr().String(),
	})
	if err != nil {
		return err
	}
	s.environ = maps.Clone(environ)
	maps.Copy(s.environ, map[string]string{
		"PARLEY_DATA_DIR":       filepath.Join(s.dir, "data"),
		"PARLEY_NATS_ADDR":      "127.0.0.1:0",
		"PARLEY_EGRESS_CA_FILE": s.receiver.CAFile(),
		// Nobody wants to watch a halt for days.
		"PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT": "3s",
		"PARLEY_DELIVERY_MAX_ATTEMPTS":         "2",
		"PARLEY_DELIVERY_BACKOFF":              "1s",
	})
	return nil
}

func (s *stage) tearDown() {
	if s.receiver != nil {
		_ = s.receiver.Close() // nothing depends on it any more
	}
	if s.listener != nil {
		_ = s.listener.Close() // closed already where the demo came so far
	}
	_ = os.RemoveAll(s.dir)
}

func playDemo(ctx context.Context, environ map[string]string, out, log io.Writer) error {
	var s stage
	defer s.tearDown()
	if err := s.build(ctx, environ); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	started := make(chan allinone.Info, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- allinone.Run(ctx, allinone.Options{
			Environ: s.environ, Log: log, Listener: s.listener,
			Ready: func(i allinone.Info) { started <- i },
		})
	}()
	_, _ = fmt.Fprintln(out, "Starting NATS, Postgres and the four services …")
	var info allinone.Info
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		stop()
		<-ended
		return ctx.Err()
	case info = <-started:
	}
	err := tell(ctx, &s, info, out)
	stop()
	if stopped := <-ended; err == nil && stopped != nil && !errors.Is(stopped, context.Canceled) {
		err = stopped
	}
	return err
}

// tell plays the stories and prints them beside their events.
func tell(ctx context.Context, s *stage, info allinone.Info, out io.Writer) error {
	t := newTimeline(out)
	_, _ = fmt.Fprintf(out, "Ready after %s at %s; the receiver is %s.\n", info.Took.Round(10*time.Millisecond), info.Origin, s.receiver.URL("/"))
	watch, err := startWatcher(ctx, info.NATSURL, t)
	if err != nil {
		return err
	}
	defer watch.close()
	tale := &story.Story{Cast: story.Published(), Receiver: s.receiver, Narrate: t.left}
	acts := []struct {
		title, last string
		play        func(context.Context) error
	}{
		{"1. An erasure request is halted and resumed", events.RequestCompleted, tale.Play},
		{"2. A halt that nobody resumes (halts last 3 s here)", events.RequestFailed, tale.Forgotten},
		{"3. A webhook fails, is mended, and the request is retried", events.RequestCompleted, tale.Mended},
	}
	for i, act := range acts {
		t.heading(act.title, "events that a subscriber sees")
		if i == 0 {
			if err := tale.Open(ctx, info.Origin, info.RootClientID, info.RootClientSecret); err != nil {
				return err
			}
		}
		if err := act.play(ctx); err != nil {
			return err
		}
		if err := watch.until(ctx, tale.RequestID, act.last); err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintf(out, "\nThree requests, %d calls, %d events.\n", len(s.receiver.Calls()), watch.count())
	return nil
}
