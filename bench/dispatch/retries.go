package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/bench/internal/stage"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher"
)

// retries schedules the second attempts of many calls, restarts NATS and the
// dispatcher while they wait, and counts that each is made once.
func retries(ctx context.Context, s size) error {
	st, err := stage.Build(ctx, s.Options)
	if err != nil {
		return err
	}
	defer st.Close()
	ids := names("retry", s.lanes)
	path := fmt.Sprintf("%s%d", stage.PathLater, int(s.delay.Seconds()))
	if err := st.Connect(ctx, path, ids...); err != nil {
		return err
	}
	n := s.calls / s.lanes * s.lanes
	if err := st.Order(ctx, n/s.lanes, ids...); err != nil {
		return err
	}
	began := time.Now()
	err = withDispatcher(ctx, st, func() error {
		return st.AwaitWaiting(ctx, events.CallFilter, 50*time.Millisecond, func(n uint64) bool { return n == 0 })
	})
	if err != nil {
		return err
	}
	fmt.Printf("%d first attempts took %s\n", n, time.Since(began).Round(time.Millisecond))
	if time.Since(began) > s.delay {
		return errDelay
	}
	if err := st.RestartNATS(); err != nil {
		return err
	}
	err = st.AwaitWaiting(ctx, "", 50*time.Millisecond, func(waiting uint64) bool { return waiting == uint64(n) }) //nolint:gosec // a count
	if err != nil {
		return fmt.Errorf("after the restart: %w", err)
	}
	fmt.Printf("%d retries wait in the stream after NATS was restarted\n", n)
	err = withDispatcher(ctx, st, func() error {
		return st.AwaitWaiting(ctx, "", 100*time.Millisecond, func(n uint64) bool { return n == 0 })
	})
	if err != nil {
		return err
	}
	count, err := st.Count(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%d calls, %d requests, at most %d of one call, all made after %s\n",
		count.Calls, count.Requests, count.Most, time.Since(began).Round(time.Millisecond))
	if count.Calls != n || count.Requests != 2*n || count.Most != 2 {
		return fmt.Errorf("wanted %d calls with two attempts each", n)
	}
	return s.save(map[string]int{"calls": count.Calls, "requests": count.Requests, "most": count.Most})
}

// errDelay says that -delay is too short for this machine.
var errDelay = errors.New("the first attempts took longer than -delay: retries were due before the restart")

// withDispatcher runs a dispatcher until what is awaited has come.
func withDispatcher(ctx context.Context, st *stage.Stage, await func() error) error {
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- dispatcher.Run(running, st.Settings, deps(st)) }()
	err := await()
	stop()
	if stopped := <-ended; err == nil {
		err = stopped
	}
	return err
}
