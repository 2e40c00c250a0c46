//go:build faults

package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/internal/record"
)

// What callers were told.
const (
	created   = "created"   // a submission was answered with the request
	approved  = "approved"  // an approval succeeded
	canceling = "canceling" // a cancellation was asked for, and may succeed unheard
	canceled  = "canceled"  // a cancellation succeeded
	resumed   = "resumed"   // a resume was answered with 200
	completed = "completed" // the list showed the request as complete
)

// ledger is what callers were told, by request. Whatever stands in it may not
// be lost.
type ledger struct {
	mu   sync.Mutex
	told map[string]map[string]bool
}

func newLedger() *ledger { return &ledger{told: map[string]map[string]bool{}} }

func (l *ledger) note(what string, ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told[what] == nil {
		l.told[what] = map[string]bool{}
	}
	for _, id := range ids {
		l.told[what][id] = true
	}
}

func (l *ledger) ids(what string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.told[what]))
}

func (l *ledger) has(what, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told[what][id]
}

func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var counts []string
	for _, what := range []string{created, approved, canceled, resumed, completed} {
		counts = append(counts, fmt.Sprintf("%d %s", len(l.told[what]), what))
	}
	return strings.Join(counts, ", ")
}

// multitude are people who submit and review requests, and systems that halt and
// resume them, whatever becomes of the house meanwhile.
type multitude struct {
	*scene
	ledger *ledger
	gate   chan struct{} // closed when calls in flight may be answered
	mu     sync.Mutex
	first  map[string]string // the first webhook-id of each request
	others sync.WaitGroup    // the systems that resume
}

func (s *scene) gather() *multitude {
	c := &multitude{scene: s, ledger: newLedger(), gate: make(chan struct{}), first: map[string]string{}}
	s.receiver.Script(scenePath, receiver.Answer{Decide: c.answer})
	s.t.Cleanup(c.others.Wait)
	return c
}

// answer is the called system. By the address of the person: "go-…" goes on at
// once; "hold-…" is not answered before the gate is open; "halt-…" is halted by
// its first webhook, "soon-…" too, and is resumed as soon as the answer is sent.
func (c *multitude) answer(call receiver.Call) receiver.Answer {
	id, email := requestOf(call), emailOf(call)
	c.mu.Lock()
	if c.first[id] == "" {
		c.first[id] = call.WebhookID()
	}
	isFirst := c.first[id] == call.WebhookID()
	c.mu.Unlock()
	kind, _, _ := strings.Cut(email, "-")
	switch {
	case kind == "hold":
		return receiver.Continue().Until(c.gate)
	case kind == "halt" && isFirst:
		return receiver.Halt()
	case kind == "soon" && isFirst:
		answer := receiver.Halt()
		answer.Sent = func() { c.others.Go(func() { c.resumeSoon(call) }) }
		return answer
	}
	return receiver.Continue()
}

func (c *multitude) resumeSoon(call receiver.Call) {
	id := requestOf(call)
	if r := c.resume(c.t.Context(), id, call.Token(), "derived-"+emailOf(call)); r.problem == nil && r.status == http.StatusOK {
		c.ledger.note(resumed, id)
	}
}

// come submits so many requests, approves four of five and cancels a few. What
// fails because somebody is away is tried again.
func (c *multitude) come(ctx context.Context, generation string, n int) {
	const batch = 5
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for from := 0; from < n; from += batch {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c.comeTogether(ctx, generation, from, batch)
		})
	}
	wg.Wait()
}

func (c *multitude) comeTogether(ctx context.Context, generation string, from, n int) {
	var emails []string
	for i := from; i < from+n; i++ {
		kind := []string{"go", "soon", "halt", "go"}[i%4]
		if i%20 == 3 {
			kind = "hold"
		}
		emails = append(emails, fmt.Sprintf("%s-%s-%d@example.com", kind, generation, i))
	}
	var b bulk
	insist(ctx, func() (err error) {
		b, err = c.submit(ctx, emails...)
		c.ledger.note(created, b.ids()...)
		return err
	})
	ids := b.ids()
	if len(ids) < 2 {
		return // the others were not confirmed
	}
	insist(ctx, func() (err error) {
		b, err = c.administrate(ctx, "approve", ids[1:]...)
		c.ledger.note(approved, b.ids()...)
		return err
	})
	if from%20 == 0 {
		c.ledger.note(canceling, ids[0])
		insist(ctx, func() (err error) {
			b, err = c.administrate(ctx, "cancel", ids[0])
			c.ledger.note(canceled, b.ids()...)
			return err
		})
	}
}

// insist tries until there is no error, for as long as an outage lasts.
func insist(ctx context.Context, try func() error) {
	pause := time.NewTicker(200 * time.Millisecond)
	defer pause.Stop()
	for try() != nil {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

// lookAround notes which requests the list shows as complete.
func (c *multitude) lookAround() {
	c.t.Helper()
	for id := range c.all(record.Complete) {
		c.ledger.note(completed, id)
	}
}

// all gives the requests that the list shows in a status.
func (c *multitude) all(statuses ...record.Status) map[string]record.Status {
	c.t.Helper()
	found := map[string]record.Status{}
	for page := 1; ; page++ {
		query := url.Values{"page": {fmt.Sprint(page)}, "sort_field": {"id"}}
		for _, status := range statuses {
			query.Add("status", string(status))
		}
		items, total, err := c.list(c.t.Context(), query)
		if err != nil {
			c.t.Fatalf("list: %v", err)
		}
		for _, one := range items {
			found[one.ID] = one.Status
		}
		if page*100 >= total {
			return found
		}
	}
}

// awaitAtLeast waits until so many requests have the status.
func (c *multitude) awaitAtLeast(want int, status record.Status) {
	c.t.Helper()
	eventually(c.t, func() (bool, string) {
		_, total, err := c.list(c.t.Context(), url.Values{"status": {string(status)}})
		return err == nil && total >= want, fmt.Sprintf("%d requests are %s, want %d (%v)", total, status, want, err)
	})
}

// finish opens the gate, approves what is pending and resumes what is paused,
// until every request has ended.
func (c *multitude) finish() {
	c.t.Helper()
	close(c.gate)
	var refused reply
	eventually(c.t, func() (bool, string) {
		left := c.all(record.Pending, record.Approved, record.InProcessing, record.Paused)
		var pending []string
		for id, status := range left {
			switch status {
			case record.Pending:
				pending = append(pending, id)
			case record.Paused:
				if r := c.resumeHalted(id); r.status != http.StatusOK {
					refused = r
				}
			}
		}
		if len(pending) > 0 {
			_, _ = c.administrate(c.t.Context(), "approve", pending...)
		}
		return len(left) == 0, fmt.Sprintf("%d requests have not ended: %v; a resume was answered %s", len(left), left, refused)
	})
}

// resumeHalted resumes a request as the system does that halted it: with the
// token of its own call. Others may have been called since, where the request
// was put back to its halt.
func (c *multitude) resumeHalted(id string) reply {
	c.t.Helper()
	c.mu.Lock()
	halted := c.first[id]
	c.mu.Unlock()
	for _, call := range slices.Backward(c.callsTo(id)) {
		if call.WebhookID() == halted {
			return c.resume(c.t.Context(), id, call.Token(), "derived-"+emailOf(call))
		}
	}
	c.t.Fatalf("%s is paused and was never called", id)
	return reply{}
}
