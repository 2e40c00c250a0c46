package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/bench/internal/stage"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/dispatcher"
)

// payload is about as long as the body of a call.
const payload = 1500

type callsResult struct {
	CallsPerSecond float64 `json:"calls_per_second"`
	BarePerSecond  float64 `json:"bare_per_second"`
	Ratio          float64 `json:"ratio"`
	AllocsPerCall  float64 `json:"allocs_per_call"`
	BytesPerCall   float64 `json:"bytes_per_call"`
	// Processor is the time of processors that a call takes, in microseconds,
	// by the part of the benchmark that takes it.
	Processor   map[string]float64 `json:"processor_us_per_call"`
	Sync        string             `json:"sync"`
	Calls       int                `json:"calls"`
	Lanes       int                `json:"lanes"`
	Concurrency int                `json:"concurrency"`
}

// calls compares the dispatcher with bare posts to the same receiver, before and
// after, with as many in flight.
func calls(ctx context.Context, s size) error {
	st, err := stage.Build(ctx, s.Options)
	if err != nil {
		return err
	}
	defer st.Close()
	ids := names("lane", s.lanes)
	if err := st.Connect(ctx, stage.PathOK+"call", ids...); err != nil {
		return err
	}
	n := s.calls / s.lanes
	bareBegan := st.Processor()
	before, err := postBare(ctx, st, n*s.lanes, s.lanes*s.Concurrency)
	if err != nil {
		return err
	}
	bare := st.Processor().Since(bareBegan)
	if err := st.Order(ctx, n, ids...); err != nil {
		return err
	}
	var took time.Duration
	var grown runtime.MemStats
	var busy stage.Processor
	err = st.Profiled(s.profile, func() (err error) {
		began := st.Processor()
		took, grown, err = drain(ctx, st)
		busy = st.Processor().Since(began)
		return err
	})
	if err != nil {
		return err
	}
	after, err := postBare(ctx, st, n*s.lanes, s.lanes*s.Concurrency)
	if err != nil {
		return err
	}
	r := callsResult{
		CallsPerSecond: perSecond(n*s.lanes, took), BarePerSecond: (before + after) / 2, Sync: s.Sync,
		AllocsPerCall: float64(grown.Mallocs) / float64(n*s.lanes), BytesPerCall: float64(grown.TotalAlloc) / float64(n*s.lanes),
		Calls: n * s.lanes, Lanes: s.lanes, Concurrency: s.Concurrency,
	}
	r.Ratio = r.CallsPerSecond / r.BarePerSecond
	r.Processor = map[string]float64{}
	for part, d := range map[string]time.Duration{"dispatcher": busy.Own, "nats": busy.NATS, "receiver": busy.Receiver} {
		r.Processor[part] = float64(d.Microseconds()) / float64(n*s.lanes)
	}
	fmt.Printf("dispatcher %8.0f calls/s (%d lanes, %d in flight each, flush %s)\n", r.CallsPerSecond, s.lanes, s.Concurrency, s.Sync)
	fmt.Printf("net/http   %8.0f posts/s\n", r.BarePerSecond)
	fmt.Printf("ratio      %8.2f\n", r.Ratio)
	fmt.Printf("memory     %8.0f allocations and %.1f kB a call\n", r.AllocsPerCall, r.BytesPerCall/1000)
	fmt.Printf("processor  %8.0f µs a call in the dispatcher, %.0f in NATS, %.0f in the receiver\n",
		r.Processor["dispatcher"], r.Processor["nats"], r.Processor["receiver"])
	fmt.Printf("bare %v %v\n", bare.Own/time.Duration(n*s.lanes), bare.Receiver/time.Duration(n*s.lanes))
	return s.save(r)
}

// drain runs a dispatcher in this process until the work is done. It returns
// how long that took and what was allocated for it.
func drain(ctx context.Context, st *stage.Stage) (time.Duration, runtime.MemStats, error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	before := memory()
	began := time.Now()
	go func() { ended <- dispatcher.Run(running, st.Settings, deps(st)) }()
	err := st.AwaitWaiting(ctx, "", 20*time.Millisecond, func(n uint64) bool { return n == 0 })
	took := time.Since(began)
	after := memory()
	stop()
	if stopped := <-ended; err == nil {
		err = stopped
	}
	return took, runtime.MemStats{Mallocs: after.Mallocs - before.Mallocs, TotalAlloc: after.TotalAlloc - before.TotalAlloc}, err
}

func memory() (m runtime.MemStats) {
	runtime.ReadMemStats(&m)
	return m
}

func deps(st *stage.Stage) process.Deps {
	return process.Deps{
		NATS: st.NATS, Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
		Clock: time.Now, Front: nowhere{}, Version: "bench",
	}
}

// nowhere is a front that does not listen.
type nowhere struct{}

func (nowhere) Serve(ctx context.Context, _ string, _ http.Handler) error {
	<-ctx.Done()
	return nil
}

// postBare posts as often, and returns how many posts a second that makes.
func postBare(ctx context.Context, st *stage.Stage, n, atOnce int) (float64, error) {
	body := bytes.Repeat([]byte("x"), payload)
	var left atomic.Int64
	left.Store(int64(n))
	var posting sync.WaitGroup
	var failure atomic.Pointer[error]
	began := time.Now()
	for range atOnce {
		posting.Go(func() {
			for {
				i := left.Add(-1)
				if i < 0 || failure.Load() != nil {
					return
				}
				if err := post(ctx, st, body, i); err != nil {
					failure.Store(&err)
				}
			}
		})
	}
	posting.Wait()
	took := time.Since(began)
	if err := failure.Load(); err != nil {
		return 0, *err
	}
	return perSecond(n, took), st.Reset(ctx)
}

func post(ctx context.Context, st *stage.Stage, body []byte, i int64) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, st.URL(stage.PathOK+"bare"), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Webhook-Id", fmt.Sprint("bare-", i))
	response, err := st.Receiver.Do(request)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, response.Body)
	return response.Body.Close()
}
