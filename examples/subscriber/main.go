// Command subscriber prints the life of privacy requests, one JSON line a
// fact. It is built with pkg/events alone and is meant to be copied.
//
//	subscriber -nats nats://127.0.0.1:4222 -durable audit
//	subscriber -from 24h -types dev.parley.request.completed.v1,dev.parley.request.failed.v1
//
// With -durable it goes on where it was when it comes back. Without, and the
// first time, it begins at -from, or with the oldest fact that is kept. When
// facts that it has not seen are gone, it says so and ends with code 3; with
// -accept-gap it says so and goes on.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/pkg/events"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var gap *events.GapError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
	case errors.As(err, &gap):
		fmt.Fprintln(os.Stderr, "subscriber:", err)
		os.Exit(3)
	default:
		fmt.Fprintln(os.Stderr, "subscriber:", err)
		os.Exit(1)
	}
}

// line is what is printed for a fact.
type line struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Source    string          `json:"source"`
	RequestID string          `json:"request_id"`
	Time      time.Time       `json:"time"`
	Data      json.RawMessage `json:"data"`
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("subscriber", flag.ExitOnError)
	url := flags.String("nats", nats.DefaultURL, "address of NATS")
	nkey := flags.String("nkey", "", "file with the seed of a NATS user, whose name is the durable one")
	ca := flags.String("ca", "", "PEM file with the authority that signed the certificate of NATS, if the system does not know it")
	durable := flags.String("durable", "", "name under which the server remembers what was seen")
	types := flags.String("types", "", "event types, separated by commas; empty is all")
	from := flags.String("from", "", "where to begin: a time such as 2026-05-01T08:00:00Z, or 24h for a day ago; empty is the oldest fact")
	acceptGap := flags.Bool("accept-gap", false, "go on when facts are gone that were not seen")
	if err := flags.Parse(args); err != nil {
		return err
	}
	begin, err := beginning(*from, time.Now())
	if err != nil {
		return err
	}

	options := []nats.Option{nats.Name("subscriber"), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1)}
	if *ca != "" {
		options = append(options, nats.RootCAs(*ca))
	}
	if *nkey != "" {
		seed, err := nats.NkeyOptionFromSeed(*nkey)
		if err != nil {
			return err
		}
		// Such a user sees answers only in inboxes under its own name.
		options = append(options, seed, nats.CustomInboxPrefix(events.InboxPrefix(*durable)))
	}
	nc, err := nats.Connect(*url, options...)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}

	subscription := events.Subscription{
		Durable: *durable,
		From:    begin,
		Waiting: func(reason string) { fmt.Fprintln(os.Stderr, "subscriber: waiting:", reason) },
	}
	if *types != "" {
		subscription.Types = strings.Split(*types, ",")
	}
	if *acceptGap {
		subscription.OnGap = func(gap *events.GapError) error {
			fmt.Fprintln(os.Stderr, "subscriber:", gap)
			return nil
		}
	}
	out := json.NewEncoder(os.Stdout)
	return events.Subscribe(ctx, js, subscription, func(_ context.Context, e events.Event) error {
		return out.Encode(line{
			ID: e.ID(), Type: e.Type(), Source: e.Source(), RequestID: e.Subject(), Time: e.Time(), Data: e.Data(),
		})
	})
}

// beginning reads where a new subscription begins.
func beginning(s string, now time.Time) (events.From, error) {
	if s == "" {
		return events.FromBeginning(), nil
	}
	if ago, err := time.ParseDuration(s); err == nil {
		return events.FromTime(now.Add(-ago)), nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return events.From{}, errors.New("-from takes a time such as 2026-05-01T08:00:00Z, or 24h for a day ago")
	}
	return events.FromTime(at), nil
}
