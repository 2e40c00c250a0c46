package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/bench/internal/load"
)

// What is published beside nats bench: messages of this size, by as many
// clients, each of which waits for its acknowledgement.
const (
	benchStream  = "FLOOR_BENCH"
	benchSubject = "floor.bench"
	benchSize    = 1024
	benchClients = 16
)

// compare publishes with nats bench and as the floor does, in turns, into the
// same stream.
func (s size) compare(ctx context.Context, url string) error {
	program, err := exec.LookPath("nats")
	if err != nil {
		fmt.Println("the command nats is not installed: the floor's publisher was not compared with nats bench")
		return nil
	}
	var theirs, ours, ratios []float64
	for range 3 {
		one, err := natsBench(ctx, program, url, s.messages)
		if err != nil {
			return err
		}
		other, err := publish(ctx, url, s.messages)
		if err != nil {
			return err
		}
		theirs, ours, ratios = append(theirs, one), append(ours, other), append(ratios, other/one)
	}
	fmt.Printf("%d publishers, %d bytes, each publish acknowledged: nats bench %.0f/s, the floor's publisher %.0f/s: %.2f (medians of 3 turns)\n",
		benchClients, benchSize, load.Median(theirs), load.Median(ours), load.Median(ratios))
	return nil
}

// natsBench gives the rate that nats bench tells.
func natsBench(ctx context.Context, program, url string, messages int) (float64, error) {
	command := exec.CommandContext(ctx, program, "bench", "js", "pub", "sync", benchSubject, //nolint:gosec // it is the command that was asked for
		"--server", url, "--no-context", "--no-progress", "--create", "--purge", "--stream", benchStream,
		"--clients", strconv.Itoa(benchClients), "--msgs", strconv.Itoa(messages), "--size", strconv.Itoa(benchSize))
	out, err := command.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("nats bench: %w: %s", err, out)
	}
	return rateIn(string(out))
}

var rate = regexp.MustCompile(`([\d,]+) msgs/sec`)

var errRate = errors.New("nats bench tells no rate")

// rateIn finds the rate of all publishers in what nats bench prints: that of
// each of them stands apart, and is lower.
func rateIn(out string) (most float64, err error) {
	for _, found := range rate.FindAllStringSubmatch(out, -1) {
		n, err := strconv.ParseFloat(strings.ReplaceAll(found[1], ",", ""), 64)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", errRate, err)
		}
		most = max(most, n)
	}
	if most == 0 {
		return 0, errRate
	}
	return most, nil
}

// publish publishes as the floor does, each client on a connection of its own,
// as with nats bench.
func publish(ctx context.Context, url string, messages int) (float64, error) {
	clients := make(chan jetstream.JetStream, benchClients)
	for range benchClients {
		nc, err := nats.Connect(url)
		if err != nil {
			return 0, err
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			return 0, err
		}
		clients <- js
	}
	data := make([]byte, benchSize)
	began := time.Now()
	err := load.Each(messages, benchClients, func(int) error {
		js := <-clients
		defer func() { clients <- js }()
		_, err := js.PublishMsg(ctx, &nats.Msg{Subject: benchSubject, Data: data})
		return err
	})
	return float64(messages) / time.Since(began).Seconds(), err
}
