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
	// Ratio is the median of those of the runs.
	Ratio         float64 `json:"ratio"`
	AllocsPerCall float64 `json:"allocs_per_call"`
	BytesPerCall  float64 `json:"bytes_per_call"`
	// Sent and Received are the messages between the dispatcher and NATS.
	Sent     float64 `json:"messages_sent_per_call"`
	Received float64 `json:"messages_received_per_call"`
	// Processor is the time of processors that a call takes, in microseconds,
	// by the part of the benchmark that takes it, and BareProcessor what a bare
	// post takes in all.
	Processor     map[string]float64 `json:"processor_us_per_call"`
	BareProcessor float64            `json:"processor_us_per_bare_post"`
	// ProcessorRatio is what a bare post takes beside what a call takes.
	ProcessorRatio float64 `json:"processor_ratio"`
	Sync           string  `json:"sync"`
	Calls          int     `json:"calls"`
	Runs           int     `json:"runs"`
	Lanes          int     `json:"lanes"`
	Concurrency    int     `json:"concurrency"`
}

// round is what one run has measured.
type round struct {
	calls, bare           float64 // a second
	allocs, bytes         float64 // a call
	sent, received        float64 // messages, a call
	own, nats, receiver   float64 // microseconds of processors, a call
	bareProcessor         float64
	ratio, processorRatio float64
}

// calls compares the dispatcher with bare posts to the same receiver, before and
// after, with as many in flight, several times.
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
	rounds := make([]round, s.runs)
	for i := range rounds {
		if rounds[i], err = callsOnce(ctx, s, st, ids); err != nil {
			return err
		}
		fmt.Printf("dispatcher %8.0f calls/s, net/http %.0f posts/s: %.2f, and %.2f by processor time\n",
			rounds[i].calls, rounds[i].bare, rounds[i].ratio, rounds[i].processorRatio)
	}
	middle := func(of func(round) float64) float64 {
		values := make([]float64, 0, len(rounds))
		for _, r := range rounds {
			values = append(values, of(r))
		}
		return median(values)
	}
	r := callsResult{
		CallsPerSecond: middle(func(r round) float64 { return r.calls }), BarePerSecond: middle(func(r round) float64 { return r.bare }),
		Ratio:         middle(func(r round) float64 { return r.ratio }),
		AllocsPerCall: middle(func(r round) float64 { return r.allocs }), BytesPerCall: middle(func(r round) float64 { return r.bytes }),
		Sent: middle(func(r round) float64 { return r.sent }), Received: middle(func(r round) float64 { return r.received }),
		Processor: map[string]float64{
			"dispatcher": middle(func(r round) float64 { return r.own }),
			"nats":       middle(func(r round) float64 { return r.nats }),
			"receiver":   middle(func(r round) float64 { return r.receiver }),
		},
		BareProcessor:  middle(func(r round) float64 { return r.bareProcessor }),
		ProcessorRatio: middle(func(r round) float64 { return r.processorRatio }),
		Sync:           s.Sync, Calls: s.calls / s.lanes * s.lanes, Runs: s.runs, Lanes: s.lanes, Concurrency: s.Concurrency,
	}
	fmt.Printf("medians of %d runs, %d lanes, %d in flight each, flush %s\n", r.Runs, r.Lanes, r.Concurrency, r.Sync)
	fmt.Printf("dispatcher %8.0f calls/s\n", r.CallsPerSecond)
	fmt.Printf("net/http   %8.0f posts/s\n", r.BarePerSecond)
	fmt.Printf("ratio      %8.2f, and %.2f by processor time\n", r.Ratio, r.ProcessorRatio)
	fmt.Printf("memory     %8.0f allocations and %.1f kB a call\n", r.AllocsPerCall, r.BytesPerCall/1000)
	fmt.Printf("messages   %8.2f a call to NATS, %.2f from it\n", r.Sent, r.Received)
	fmt.Printf("processor  %8.0f µs a call in the dispatcher, %.0f in NATS, %.0f in the receiver; a bare post %.0f\n",
		r.Processor["dispatcher"], r.Processor["nats"], r.Processor["receiver"], r.BareProcessor)
	return s.save(r)
}

func callsOnce(ctx context.Context, s size, st *stage.Stage, ids []string) (r round, err error) {
	n := s.calls / s.lanes
	total := n * s.lanes
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(total) }
	began := st.Processor()
	before, err := postBare(ctx, st, total, s.lanes*s.Concurrency)
	if err != nil {
		return r, err
	}
	used := st.Processor().Since(began)
	r.bareProcessor = each(used.Own + used.Receiver)
	if err := st.Order(ctx, n, ids...); err != nil {
		return r, err
	}
	err = st.Profiled(s.profile, func() error {
		began, exchanged := st.Processor(), st.NATS.Stats()
		took, grown, err := drain(ctx, st)
		used, now := st.Processor().Since(began), st.NATS.Stats()
		r.sent = float64(now.OutMsgs-exchanged.OutMsgs) / float64(total)
		r.received = float64(now.InMsgs-exchanged.InMsgs) / float64(total)
		r.calls = perSecond(total, took)
		r.allocs, r.bytes = float64(grown.Mallocs)/float64(total), float64(grown.TotalAlloc)/float64(total)
		r.own, r.nats, r.receiver = each(used.Own), each(used.NATS), each(used.Receiver)
		return err
	})
	if err != nil {
		return r, err
	}
	after, err := postBare(ctx, st, total, s.lanes*s.Concurrency)
	if err != nil {
		return r, err
	}
	r.bare = (before + after) / 2
	r.ratio, r.processorRatio = r.calls/r.bare, r.bareProcessor/(r.own+r.nats+r.receiver)
	return r, nil
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
	err := st.AwaitWaiting(ctx, "", 50*time.Millisecond, func(n uint64) bool { return n == 0 })
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
