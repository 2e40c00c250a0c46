//go:build faults

// Package rounds plays rounds in which three hundred requests of mixed kinds
// come while what they run on is broken, drawn from a seed: the four services,
// NATS, Postgres, the ways between them, the receivers. When all is whole and
// quiet again, what must be true whatever happened is checked by
// cmd/parley/internal/invariants.
//
// A round is reproduced by its seed, which is printed: what comes and what is
// done follows from it. When exactly something breaks is up to the machine.
package rounds

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/invariants"
	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
)

// Variables of the suite.
const (
	roundsVariable = "PARLEY_FAULT_ROUNDS"
	seedVariable   = "PARLEY_FAULT_SEED"
	// logsVariable names a folder in which the logs of the processes are kept.
	logsVariable = "PARLEY_FAULT_LOGS"
)

// patience is how long a round may take. Nothing is measured by it.
const patience = 4 * time.Minute

// TestRounds plays PARLEY_FAULT_ROUNDS rounds, one by default. The first has the
// seed PARLEY_FAULT_SEED, so that one round alone is reproduced by its own;
// without it a seed is drawn.
func TestRounds(t *testing.T) {
	seed, n := number(t, seedVariable, uint64(rand.Uint32())), number(t, roundsVariable, 1)
	t.Logf("%d rounds, the first with SEED=%d", n, seed)
	postgres := startCluster(t)
	var took []time.Duration
	for i := range n {
		plan := newPlan(seed)
		ok := t.Run(fmt.Sprintf("%d of %d, SEED=%d", i+1, n, seed), func(t *testing.T) {
			began := time.Now()
			play(t, postgres, plan)
			took = append(took, time.Since(began))
		})
		if !ok {
			t.Fatalf("reproduce it with: make test-rounds ROUNDS=1 SEED=%d", seed)
		}
		seed = rand.New(rand.NewPCG(seed, 1)).Uint64() >> 32 //nolint:gosec // the next one follows from this one
	}
	slices.Sort(took)
	t.Logf("%d rounds took %s at the median, %s at most", n, took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
}

func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		t.Fatalf("%s is %q, want a number above 0", variable, text)
	}
	return n
}

// round is one that is played.
type round struct {
	t     *testing.T
	ctx   context.Context //nolint:containedctx // those who act on their own act until the round is over
	plan  plan
	house *house
	http  *http.Client
	token string // of an admin
	began time.Time
	// outage is what receivers suffer from.
	outage atomic.Pointer[fault]
	book   *book
	// clients are those who act on their own.
	clients sync.WaitGroup
	faults  []invariants.Fault

	mu                 sync.Mutex
	promises           []invariants.Promise
	submitted, resumed map[string]map[string]string
	// retries are the revisions at which somebody retried a request.
	retries map[string][]uint64
}

// play plays a round and checks what came of it.
func play(t *testing.T, postgres *cluster, p plan) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errTooLong)
	defer cancel()
	rd := &round{
		t: t, ctx: ctx, plan: p, book: newBook(), began: time.Now(),
		http:      &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}},
		submitted: map[string]map[string]string{}, resumed: map[string]map[string]string{}, retries: map[string][]uint64{},
	}
	t.Cleanup(rd.http.CloseIdleConnections)
	rd.note("%s", p)
	var err error
	if rd.house, err = newHouse(ctx, t, postgres, p.settings()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rd.keepLogs)
	for _, path := range paths {
		rd.house.receiver.Script(path, receiver.Answer{Decide: rd.answer(ctx)})
	}
	if err := rd.configure(ctx); err != nil {
		t.Fatal(err)
	}
	rd.note("the house stands")
	acting, end := context.WithCancel(ctx)
	var coming sync.WaitGroup
	defer func() {
		end()
		cancel() // who acts does not outlive a round that failed
		coming.Wait()
		rd.clients.Wait()
	}()
	if p.external {
		rd.clients.Go(func() { rd.execute(acting) })
	}
	rd.clients.Go(func() { rd.review(acting) })
	coming.Go(func() { rd.come(ctx) })
	if err := rd.breakAll(ctx); err != nil {
		t.Fatal(err)
	}
	rd.note("everything is whole again")
	coming.Wait()
	rd.note("all requests have come")
	rd.book.mend()
	if err := rd.settle(ctx); err != nil {
		t.Errorf("it does not become quiet: %v; %s", err, rd.situation())
	}
	rd.note("it is over")
	end()
	rd.clients.Wait()
	rd.check()
}

func (p plan) settings() map[string]string {
	execution := "immediate"
	if p.external {
		execution = "external"
	}
	return map[string]string{
		"PARLEY_EXECUTION":                     execution,
		"PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT": p.halt.String(),
		"PARLEY_DELIVERY_BACKOFF":              "1s",
		"PARLEY_DELIVERY_MAX_ATTEMPTS":         "3",
		"PARLEY_DELIVERY_TIMEOUT":              "5s",
	}
}

// note tells of the round, with the time since it began.
func (rd *round) note(format string, args ...any) {
	rd.t.Logf("%5.1fs %s", time.Since(rd.began).Seconds(), fmt.Sprintf(format, args...))
}

func (rd *round) promise(p invariants.Promise) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	rd.promises = append(rd.promises, p)
}

func (rd *round) know(of map[string]map[string]string, key, email string) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	of[key] = map[string]string{"email": email}
}

// keepLogs writes what the processes wrote into a folder, if one is named.
func (rd *round) keepLogs() {
	dir := os.Getenv(logsVariable)
	if dir == "" {
		return
	}
	for name, p := range rd.house.services {
		file := filepath.Join(dir, fmt.Sprintf("%d-%s.log", rd.plan.seed, name))
		if err := os.WriteFile(file, []byte(p.log.String()), 0o600); err != nil {
			rd.note("the log of %s: %v", name, err)
		}
	}
}

// check looks at everything from outside.
func (rd *round) check() {
	ctx, cancel := context.WithTimeoutCause(rd.t.Context(), patience, errTooLong)
	defer cancel()
	collected, err := rd.collect(ctx)
	if err != nil {
		rd.t.Fatalf("collect: %v", err)
	}
	ends := map[string]int{}
	for _, rec := range collected.Records {
		ends[string(rec.Status)]++
	}
	rd.note("%d requests: %v; %d facts, %d calls, %d promises", len(collected.Records), ends, len(collected.Facts), len(collected.Calls), len(collected.Promises))
	violations := invariants.Check(collected)
	for i, v := range violations {
		if i == 20 {
			rd.t.Errorf("and %d more", len(violations)-i)
			break
		}
		rd.t.Error(v)
	}
}
