package main

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/bench/internal/stage"
)

// failover lets two dispatchers share the calls, kills one without warning, and
// counts that every call is made. Those that the dead one had in flight are
// made again, under the same webhook-id.
func failover(ctx context.Context, s size) error {
	st, err := stage.Build(ctx, s.Options)
	if err != nil {
		return err
	}
	defer st.Close()
	ids := names("shared", s.lanes)
	if err := st.Connect(ctx, stage.PathOK+"shared", ids...); err != nil {
		return err
	}
	n := s.calls / s.lanes * s.lanes
	if err := st.Order(ctx, n/s.lanes, ids...); err != nil {
		return err
	}
	victim, err := st.Dispatcher()
	if err != nil {
		return err
	}
	survivor, err := st.Dispatcher()
	if err != nil {
		victim.Kill()
		return err
	}
	defer survivor.Stop()
	began := time.Now()
	_, err = st.Await(ctx, 10*time.Millisecond, func(c stage.Count) bool { return c.Calls >= n/3 })
	victim.Kill()
	if err != nil {
		return err
	}
	fmt.Printf("killed one of two after %s\n", time.Since(began).Round(time.Millisecond))
	if err := st.AwaitWaiting(ctx, "", 100*time.Millisecond, func(n uint64) bool { return n == 0 }); err != nil {
		return err
	}
	count, err := st.Count(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%d calls were made with %d requests after %s: %d repeats, at most %d requests of one webhook-id\n",
		count.Calls, count.Requests, time.Since(began).Round(time.Millisecond), count.Repeats(), count.Most)
	if most := s.lanes * s.Concurrency; count.Calls != n || count.Repeats() > most {
		return fmt.Errorf("wanted %d calls and at most %d repeats", n, most)
	}
	return s.save(map[string]int{"calls": count.Calls, "requests": count.Requests, "repeats": count.Repeats(), "most": count.Most})
}
