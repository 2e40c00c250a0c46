package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/parley-dsr/parley/bench/internal/stage"
	"github.com/parley-dsr/parley/services/dispatcher"
)

// cost measures what a connection without calls, and what an open lane, keeps
// busy: the memory and the goroutines of a dispatcher, and the memory of NATS.
func cost(ctx context.Context, s size) error {
	st, err := stage.Build(ctx, s.Options)
	if err != nil {
		return err
	}
	defer st.Close()
	const path = stage.PathOK + "cost"
	if err := st.Connect(ctx, path, "con_warm"); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- dispatcher.Run(running, st.Settings, deps(st)) }()
	defer func() {
		stop()
		<-ended
	}()
	worked := func(ids ...string) error {
		if err := st.Order(ctx, 1, ids...); err != nil {
			return err
		}
		return st.AwaitWaiting(ctx, "", 50*time.Millisecond, func(n uint64) bool { return n == 0 })
	}
	if err := worked("con_warm"); err != nil {
		return err
	}
	nothing := use(st)
	ids := names("cost", s.crowd)
	if err := st.Connect(ctx, path, ids...); err != nil {
		return err
	}
	configured := use(st)
	if err := worked(ids[:s.lanes]...); err != nil {
		return err
	}
	open := use(st)
	fmt.Printf("a connection without calls: dispatcher %.1f kB, NATS %.1f kB\n",
		per(configured.heap-nothing.heap, s.crowd), per(configured.nats-nothing.nats, s.crowd))
	fmt.Printf("an open lane: dispatcher %.1f kB, %.1f goroutines; NATS %.1f kB\n",
		per(open.heap-configured.heap, s.lanes), float64(open.goroutines-configured.goroutines)/float64(s.lanes), per(open.nats-configured.nats, s.lanes))
	return s.save(map[string]float64{
		"idle_dispatcher_kb": per(configured.heap-nothing.heap, s.crowd), "idle_nats_kb": per(configured.nats-nothing.nats, s.crowd),
		"lane_dispatcher_kb": per(open.heap-configured.heap, s.lanes), "lane_nats_kb": per(open.nats-configured.nats, s.lanes),
	})
}

type used struct {
	heap, nats int64
	goroutines int
}

func use(st *stage.Stage) used {
	runtime.GC()
	m := memory()
	return used{heap: int64(m.HeapAlloc + m.StackInuse), nats: st.NATSMemory(), goroutines: runtime.NumGoroutine()} //nolint:gosec // bytes
}

func per(bytes int64, n int) float64 { return float64(bytes) / 1000 / float64(n) }
