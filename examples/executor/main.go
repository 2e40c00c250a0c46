// Command executor answers access and erasure requests on a Postgres table of
// customers. It is built with pkg/events alone and is meant to be copied; the
// README beside it says how to run it.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/parley-dsr/parley/pkg/events"
)

const help = `executor answers access and erasure requests on the table customers, whose
columns email and phone say whose row it is. Settings come from the environment:

  DATABASE_URL      Postgres, such as postgres://user@host/shop; required
  NATS_URL          default nats://127.0.0.1:4222
  NATS_CREDENTIALS  file with the credentials of a NATS user, if there are users
  NATS_NKEY         file with the seed of a NATS user, in place of credentials
  ACTIONS           what to answer, default access,erasure
  RESULTS_DIR       folder that gets a file for every access request, default results
  TAKEOVER          after how long another executor takes up what one that died
                    had begun, default 30s

It runs until it is interrupted. Any number may run beside each other.
`

func main() {
	if len(os.Args) > 1 {
		fmt.Print(help)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "executor:", strings.Join(strings.Fields(err.Error()), " "))
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger) error {
	takeover, err := time.ParseDuration(cmp.Or(os.Getenv("TAKEOVER"), "30s"))
	if err != nil {
		return errors.New("TAKEOVER takes a duration, such as 30s")
	}
	if os.Getenv("DATABASE_URL") == "" {
		return errors.New("DATABASE_URL is not set; it takes a Postgres URL, such as postgres://user@host/shop")
	}
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	defer pool.Close()
	shop := &customers{pool: pool, results: cmp.Or(os.Getenv("RESULTS_DIR"), "results"), log: log}
	if err := shop.prepare(ctx); err != nil {
		return err
	}
	handlers := map[string]func(context.Context, *events.ExecutionTask) error{
		events.ActionAccess: shop.access, events.ActionErasure: shop.erase,
	}
	group, ctx := errgroup.WithContext(ctx)
	for action := range strings.SplitSeq(cmp.Or(os.Getenv("ACTIONS"), "access,erasure"), ",") {
		handler, ok := handlers[action]
		if !ok {
			return fmt.Errorf("ACTIONS takes access, erasure, or both with a comma, not %q", action)
		}
		nc, err := connect(events.ExecutorConsumer(action))
		if err != nil {
			return err
		}
		defer nc.Close()
		group.Go(func() error {
			log.Info("waiting for executions", "action", action)
			return events.Execute(ctx, nc, action, handler,
				events.WithConcurrency(4), events.WithTakeover(takeover), events.WithExecuteLogger(log),
				events.WithWaiting(func(reason string) { log.Info("no work can be had", "action", action, "reason", reason) }))
		})
	}
	return group.Wait()
}

// connect connects for as long as the executor runs, whatever becomes of NATS.
// The executors of each action are a user of their own, with inboxes of its own.
func connect(user string) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Name(user), nats.CustomInboxPrefix(events.InboxPrefix(user)),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
	}
	if file := os.Getenv("NATS_CREDENTIALS"); file != "" {
		options = append(options, nats.UserCredentials(file))
	}
	if file := os.Getenv("NATS_NKEY"); file != "" {
		key, err := nats.NkeyOptionFromSeed(file)
		if err != nil {
			return nil, fmt.Errorf("NATS_NKEY: %w", err)
		}
		options = append(options, key)
	}
	nc, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), options...)
	if err != nil {
		return nil, fmt.Errorf("NATS_URL: %w", err)
	}
	return nc, nil
}
