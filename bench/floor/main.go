// Command floor measures what the store and the network alone allow: as many
// publishes, reads, acknowledgements and TLS posts as one lifecycle of a privacy
// request needs at least, with nothing around them. The benchmark of lifecycles
// runs the same floor in turns with the product.
//
// Where the command nats is installed, its own benchmark publishes to the same
// server, and the floor's publisher beside it: a floor that were slow by its own
// fault would show there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/bench/internal/child"
	"github.com/parley-dsr/parley/bench/internal/floor"
	"github.com/parley-dsr/parley/bench/internal/load"
	"github.com/parley-dsr/parley/bench/internal/parts"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/topology"
)

const (
	roleNATS     = "nats"
	roleReceiver = "receiver"
)

func roles() map[string]child.Role {
	return map[string]child.Role{roleNATS: parts.NATS, roleReceiver: parts.Receiver}
}

func main() {
	process.Main("bench-floor", func(ctx context.Context, environ map[string]string) error {
		if played, err := child.Play(ctx, environ, roles()); played {
			return err
		}
		return run(ctx, os.Args[1:])
	})
}

type size struct {
	sync        string
	connections int
	concurrency int
	inFlight    int
	warm        time.Duration
	window      time.Duration
	messages    int
}

const usage = `Measure what NATS and the network alone allow: bench-floor [flags]

`

var errFlags = errors.New("want numbers and times above 0, and at least 2 connections")

func run(ctx context.Context, args []string) error {
	var s size
	flags := flag.NewFlagSet("floor", flag.ContinueOnError)
	flags.Usage = func() {
		_, _ = fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&s.sync, "sync", "2m", `when NATS flushes: "always", or a duration`)
	flags.IntVar(&s.connections, "connections", 4, "lanes")
	flags.IntVar(&s.concurrency, "concurrency", 16, "calls in flight on a lane")
	flags.IntVar(&s.inFlight, "in-flight", 128, "lifecycles in flight")
	flags.DurationVar(&s.warm, "warm", 2*time.Second, "what passes before it counts")
	flags.DurationVar(&s.window, "window", 6*time.Second, "what counts")
	flags.IntVar(&s.messages, "messages", 20_000, "messages that are published beside nats bench")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if s.connections < 2 || s.concurrency < 1 || s.inFlight < 1 || s.window <= 0 || s.messages < 1 {
		return errFlags
	}
	return s.play(ctx)
}

func (s size) play(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "parley-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	root := filepath.Join(dir, "roots.pem")
	receiver, err := child.Start(roleReceiver, "BENCH_ROOT="+root)
	if err != nil {
		return err
	}
	defer receiver.Stop()
	client, err := parts.Trusting(root)
	if err != nil {
		return err
	}
	server, err := child.Start(roleNATS, "BENCH_DIR="+filepath.Join(dir, "nats"), "BENCH_ADDR=127.0.0.1:0", "BENCH_SYNC="+s.sync)
	if err != nil {
		return err
	}
	defer server.Stop()
	if err := floor.Table(os.Stdout); err != nil {
		return err
	}
	if err := s.lifecycles(ctx, server, receiver, client); err != nil {
		return err
	}
	return s.compare(ctx, server.URL)
}

// lifecycles runs the floor.
func (s size) lifecycles(ctx context.Context, server, receiver *child.Child, client *http.Client) error {
	if err := ensure(ctx, server.URL); err != nil {
		return err
	}
	f, err := floor.Open(ctx, floor.Options{
		NATS: server.URL, Receiver: receiver.URL + parts.PathGo, Client: client, Connections: s.connections, Concurrency: s.concurrency,
	})
	if err != nil {
		return err
	}
	defer f.Close()
	var used [3][]time.Duration
	n, took, err := load.Closed{InFlight: s.inFlight, Warm: s.warm, Window: s.window, Edge: func() {
		for i, pid := range []int{os.Getpid(), server.PID(), receiver.PID()} {
			used[i] = append(used[i], child.Used(pid).Processor)
		}
	}}.Run(ctx, f.Lifecycle)
	if err != nil {
		return err
	}
	each := func(i int) int64 { return (used[i][1] - used[i][0]).Microseconds() / int64(max(n, 1)) }
	perSecond := float64(n) / took.Seconds()
	fmt.Printf("\nflush %s: %.0f lifecycles/s, %.0f messages stored, %.0f reads, %.0f posts a second\n", s.sync, perSecond,
		perSecond*float64(floor.Stored()), perSecond*floor.Reads, perSecond*floor.Posts)
	fmt.Printf("processor, µs a lifecycle: %d here, %d in NATS, %d in the receiver\n", each(0), each(1), each(2))
	return nil
}

// ensure makes Parley's streams, whose settings the floor takes over.
func ensure(ctx context.Context, url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return errors.Join(topology.EnsureOrchestrator(ctx, js, topology.Options{}), topology.EnsureConfig(ctx, js, topology.Options{}))
}
