//go:build faults

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// trial is one telling of the story, with one deed at one point. A person
// submits and the receiver resumes; both send again what got no answer, as
// clients do, so that one trial may have more than one request.
type trial struct {
	g     *ground
	deed  deed
	at    sign
	name  string
	began time.Time

	mu       sync.Mutex
	signs    []seenSign
	requests map[string]*asked
	problems []string
	done     bool // the submission was answered
	lapses   int  // how often the time for acknowledgements passed

	struck   chan struct{} // closed after the strike
	next     chan struct{} // closed with the first new sign after it
	isStruck bool
}

type seenSign struct {
	sign sign
	at   time.Duration
}

// asked is a request of the trial.
type asked struct {
	id      string
	resumed bool // the receiver has been told to resume it
	status  record.Status
	over    bool
}

// try plays one trial.
func (g *ground) try(number int, at sign, d deed) row {
	tr := &trial{
		g: g, deed: d, at: at, name: fmt.Sprintf("trial-%d", number), began: time.Now(),
		requests: map[string]*asked{}, struck: make(chan struct{}), next: make(chan struct{}),
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), 2*patience)
	defer cancel()
	g.current.Store(tr)
	var clients sync.WaitGroup
	defer clients.Wait()
	mended := make(chan struct{})
	go func() {
		defer close(mended)
		select {
		case <-tr.struck:
			d.mend(g, tr)
		case <-ctx.Done():
		}
	}()
	tr.see("", beforeSubmission)
	clients.Go(func() { tr.submit(ctx) })
	if err := tr.direct(ctx, &clients); err != nil {
		tr.problem("%v", err)
	}
	give := time.AfterFunc(afterEnd, func() { // the last sign may come after the end
		if !tr.isOver(tr.struck) {
			cancel()
		}
	})
	defer give.Stop()
	<-mended
	tr.checkShown(ctx)
	g.current.Store(nil)
	return tr.verify()
}

// see notes a sign; if it is the one that the trial waits for, the deed is done
// before whoever saw it goes on.
func (tr *trial) see(requestID string, s sign) {
	tr.mu.Lock()
	if _, known := tr.requests[requestID]; !known && requestID != "" {
		if _, earlier := tr.g.belongs.LoadOrStore(requestID, tr); earlier {
			tr.mu.Unlock()
			return // the last words about a request of an earlier trial
		}
		tr.requests[requestID] = &asked{id: requestID}
	}
	if slices.ContainsFunc(tr.signs, func(other seenSign) bool { return other.sign == s }) {
		tr.mu.Unlock()
		return
	}
	tr.signs = append(tr.signs, seenSign{s, time.Since(tr.began)})
	if tr.isStruck && !tr.isOver(tr.next) {
		close(tr.next)
	}
	tr.mu.Unlock()
	if s != tr.at {
		return
	}
	tr.deed.strike(tr.g)
	tr.mu.Lock()
	tr.isStruck = true
	tr.mu.Unlock()
	close(tr.struck)
}

// afterEnd is how long a sign may come after the end of the last request.
const afterEnd = 3 * time.Second

func (tr *trial) isOver(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// awaitNext waits for the next sign after the strike; after the last one none
// comes.
func (tr *trial) awaitNext() {
	last := time.NewTimer(afterEnd)
	defer last.Stop()
	select {
	case <-tr.next:
	case <-last.C:
	}
}

func (tr *trial) has(s sign) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.ContainsFunc(tr.signs, func(other seenSign) bool { return other.sign == s })
}

// asked are the requests of the trial, in the order of their ids.
func (tr *trial) asked() []*asked {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.SortedFunc(maps.Values(tr.requests), func(a, b *asked) int { return strings.Compare(a.id, b.id) })
}

func (tr *trial) problem(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.problems = append(tr.problems, fmt.Sprintf(format, args...))
}

// submit is the person, who sends the form again until it is accepted.
func (tr *trial) submit(ctx context.Context) {
	ids, err := tr.g.submit(ctx, policyKey, tr.name+"@example.com")
	if err != nil {
		tr.problem("the submission failed: %v", err)
	}
	for _, id := range ids {
		tr.see(id, "submission known")
	}
	tr.mu.Lock()
	tr.done = true
	tr.mu.Unlock()
}

// resume is the receiver.
func (tr *trial) resume(ctx context.Context, call receiver.Call) {
	if err := tr.g.resume(ctx, call, tr.name+"@example.org"); err != nil {
		tr.problem("the resume failed: %v", err)
	}
}

// longestWait is longer than any service waits before it tries again; what then
// has not gone on waits for an acknowledgement that was lost.
const longestWait = 6 * time.Second

// direct looks at the records until all requests of the trial have ended, and
// lets the receiver resume what is halted.
func (tr *trial) direct(ctx context.Context, clients *sync.WaitGroup) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	quiet, signs := time.Now(), 0
	for {
		if over := tr.look(ctx, clients); over {
			return nil
		}
		tr.mu.Lock()
		if n := len(tr.signs); n != signs {
			quiet, signs = time.Now(), n
		}
		tr.mu.Unlock()
		if tr.deed.lossy && time.Since(quiet) > longestWait {
			tr.see("", "acknowledgements were waited for")
			tr.lapses++
			tr.g.lapseAll("")
			quiet = time.Now()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the requests have not ended: %s", tr.situation())
		case <-tick.C:
		}
	}
}

// look says whether all that the trial began is over.
func (tr *trial) look(ctx context.Context, clients *sync.WaitGroup) bool {
	tr.mu.Lock()
	over := tr.done
	tr.mu.Unlock()
	before := tr.asked()
	for _, a := range before {
		over = (a.over || tr.follow(ctx, a, clients)) && over
	}
	if !over || len(before) == 0 {
		return false
	}
	work, known := tr.g.waiting(ctx, ">")
	return known && len(work) == 0 && len(tr.asked()) == len(before)
}

// follow looks at one request and says whether it is over: it has ended, that
// was said, and no halt of it is left.
func (tr *trial) follow(ctx context.Context, a *asked, clients *sync.WaitGroup) bool {
	rec := tr.g.record(ctx, a.id)
	if rec == nil {
		return false
	}
	a.status = rec.Status
	if rec.Wait != nil && rec.Wait.Kind == record.WaitHalt && !a.resumed {
		kept, _ := tr.g.halt(ctx, rec.Wait.CallID)
		call, found := tr.g.callBy(rec.Wait.CallID)
		if kept && found {
			a.resumed = true
			clients.Go(func() { tr.resume(ctx, call) })
		}
		return false
	}
	if !rec.Status.Ended() || rec.Status == record.Complete && !tr.g.said(ctx, events.RequestCompleted, a.id) {
		return false
	}
	tr.see("", "(ended)")
	for _, c := range tr.g.callsOf(a.id) {
		if kept, known := tr.g.halt(ctx, c.WebhookID()); kept || !known {
			return false
		}
	}
	tr.see("", "(no halt left)")
	a.over = true
	return true
}

func (g *ground) callBy(webhookID string) (receiver.Call, bool) {
	for _, c := range g.receiver.Calls() {
		if c.WebhookID() == webhookID {
			return c, true
		}
	}
	return receiver.Call{}, false
}

// checkShown reads the status as people do, when everything runs again.
func (tr *trial) checkShown(ctx context.Context) {
	for _, a := range tr.asked() {
		id, shown := a.id, ""
		err := again(ctx, func(ctx context.Context) (bool, error) {
			status, answer, err := send(ctx, http.MethodGet, tr.g.origin+"/api/v1/privacy-request?request_id="+id, tr.g.token, nil)
			if err != nil || status != http.StatusOK {
				shown = fmt.Sprintf("%d %s", status, answer)
				return false, err
			}
			var page struct {
				Items []struct {
					Status record.Status `json:"status"`
				} `json:"items"`
			}
			if err := json.Unmarshal(answer, &page); err != nil || len(page.Items) != 1 {
				shown = string(answer)
				return false, err
			}
			shown = string(page.Items[0].Status)
			return page.Items[0].Status == a.status, nil
		})
		if err != nil {
			tr.problem("%s is %s, the list shows %s", id, a.status, shown)
		}
	}
}

// situation is what can be seen of the requests.
func (tr *trial) situation() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "submission answered: %t\nsigns:", tr.done)
	for _, s := range tr.signs {
		fmt.Fprintf(&b, "\n  %6dms %s", s.at.Milliseconds(), s.sign)
	}
	for id := range tr.requests {
		fmt.Fprintf(&b, "\n%s\n  calls:", id)
		for _, c := range tr.g.callsOf(id) {
			fmt.Fprintf(&b, "\n    %6dms %s", c.At.Sub(tr.began).Milliseconds(), c.WebhookID())
		}
		b.WriteString("\n  facts:")
		for _, e := range tr.g.facts(id) {
			fmt.Fprintf(&b, "\n    %6dms %s %s", e.Time().Sub(tr.began).Milliseconds(), factName(e), e.ID())
		}
		if rec := tr.g.record(context.Background(), id); rec != nil {
			fmt.Fprintf(&b, "\n  record: revision %d, %s, step %s %d, wait %+v, outbox %d", rec.Revision, rec.Status, rec.Run.Step, rec.Run.Index, rec.Wait, len(rec.Outbox))
		}
	}
	b.WriteString(tr.g.consumers())
	return b.String()
}

// consumers says what the durable consumers have not handled.
func (g *ground) consumers() string {
	ctx, cancel := context.WithTimeout(context.Background(), clientPatience)
	defer cancel()
	var b strings.Builder
	for _, stream := range []string{events.StreamWork, events.StreamEvents, g.requests.StreamName(), g.halted.StreamName()} {
		s, err := g.js.Stream(ctx, stream)
		if err != nil {
			fmt.Fprintf(&b, "\nstream %s: %v", stream, err)
			continue
		}
		list := s.ListConsumers(ctx)
		for info := range list.Info() {
			if info.NumPending > 0 || info.NumAckPending > 0 {
				fmt.Fprintf(&b, "\nconsumer %s: %d pending, %d not acknowledged, %d pulls", info.Name, info.NumPending, info.NumAckPending, info.NumWaiting)
			}
		}
	}
	if work, known := g.waiting(ctx, ">"); known && len(work) > 0 {
		fmt.Fprintf(&b, "\nwork: %v", work)
	}
	return b.String()
}

func isNotFound(err error) bool { return errors.Is(err, topology.ErrNotFound) }
