//go:build faults

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	rounds = 200
	racers = 64
	// together is how many rounds overlap.
	together = 3
)

// command is what a racer asks for. A fact of the name, for the reason, tells
// that somebody won.
type command struct {
	name    string
	fact    string
	reasons []string
	ask     func(ctx context.Context, s *scene, id string, racer int) (won bool, known bool, said string)
}

func commands() []command {
	bulkAction := func(action string) func(context.Context, *scene, string, int) (bool, bool, string) {
		return func(ctx context.Context, s *scene, id string, _ int) (bool, bool, string) {
			b, err := s.administrate(ctx, action, id)
			if err != nil {
				return false, false, err.Error()
			}
			said := fmt.Sprintf("%+v", b.Failed)
			won := len(b.Succeeded) == 1 && b.Succeeded[0].ID == id
			return won, won || strings.Contains(said, "Cannot "), said
		}
	}
	single := func(path string) func(context.Context, *scene, string, int) (bool, bool, string) {
		return func(ctx context.Context, s *scene, id string, _ int) (bool, bool, string) {
			return judge(s.call(ctx, "orchestrator", http.MethodPost, "/"+id+path, s.token, nil))
		}
	}
	return []command{
		{"approve", "request.approved", []string{events.ReasonManual}, bulkAction("approve")},
		{"deny", "request.denied", []string{events.ReasonManual}, bulkAction("deny")},
		{"retry", "request.retried", []string{""}, single("/retry")},
		{"resume by a person", "request.resumed", []string{events.ReasonResumedByPerson}, single("/administrate/resume")},
		{"resume", "request.resumed", []string{events.ReasonResumed, events.ReasonResumedEarly}, resumeWithToken},
		{"cancel", "request.canceled", []string{events.ReasonManual}, bulkAction("cancel")},
	}
}

// resumeWithToken resumes with the token of the last call of the first webhook,
// and derives an address that says who did it. A request that was never called
// has no token.
func resumeWithToken(ctx context.Context, s *scene, id string, racer int) (won, known bool, said string) {
	token := ""
	calls := s.callsTo(id)
	for _, c := range calls {
		if targetOf(c) == targetOf(calls[0]) {
			token = c.Token()
		}
	}
	if token == "" {
		return false, true, "no token"
	}
	return judge(s.resume(ctx, id, token, derivedBy(racer)))
}

func derivedBy(racer int) string { return fmt.Sprintf("derived-by-%d@example.com", racer) }

func judge(r reply) (won, known bool, said string) {
	return r.problem == nil && r.status == http.StatusOK,
		r.problem == nil && (r.status == http.StatusOK || r.status == http.StatusBadRequest), r.String()
}

// score is who won what for one request.
type score struct {
	mu   sync.Mutex
	wins map[string][]int // command to the racers who won it
	lost int
}

// commandOf deals the commands out: from round to round others come first. Four
// racers of a round cancel, which is possible nearly always, and in every other
// round nobody resumes with a token, which is faster than a person.
func commandOf(round, racer int) command {
	all := commands()
	last := len(all) - 1
	if (racer+round)%16 == 15 {
		return all[last]
	}
	c := all[(racer+round)%last]
	if c.name == "resume" && round%2 == 1 {
		return all[slices.IndexFunc(all, func(c command) bool { return c.name == "resume by a person" })]
	}
	return c
}

// race lets all racers ask at the same moment.
func (s *scene) race(id string, commandOf func(racer int) command) *score {
	sc := &score{wins: map[string][]int{}}
	start := make(chan struct{})
	var wg sync.WaitGroup
	for racer := range racers {
		c := commandOf(racer)
		wg.Go(func() {
			<-start
			won, known, said := c.ask(s.t.Context(), s, id, racer)
			sc.mu.Lock()
			defer sc.mu.Unlock()
			switch {
			case won:
				sc.wins[c.name] = append(sc.wins[c.name], racer)
			case known:
				sc.lost++
			default:
				s.t.Errorf("%s: %s was neither done nor refused: %s", id, c.name, said)
			}
		})
	}
	close(start)
	wg.Wait()
	return sc
}

// raceScript makes requests stand where they are to be raced for, by the
// address of the person: "halt-…" is halted by its first webhook, "fail-…" fails
// at it once and is halted when it is retried. The second webhook goes on.
func raceScript() receiver.Answer {
	var mu sync.Mutex
	var told = map[string][]string{} // the calls of a request, each once
	return receiver.Answer{Decide: func(c receiver.Call) receiver.Answer {
		mu.Lock()
		defer mu.Unlock()
		id := requestOf(c)
		if !slices.Contains(told[id], c.WebhookID()) {
			told[id] = append(told[id], c.WebhookID())
		}
		switch nth := slices.Index(told[id], c.WebhookID()); {
		case strings.HasPrefix(emailOf(c), "fail-") && nth == 0:
			return receiver.Status(http.StatusBadRequest)
		case strings.HasPrefix(emailOf(c), "fail-") && nth == 1, strings.HasPrefix(emailOf(c), "halt-") && nth == 0:
			return receiver.Halt()
		}
		return receiver.Continue()
	}}
}

// TestRaces lets 64 callers at a time approve, cancel, deny, retry and resume
// the same request, against two processes of each service that takes part, for
// requests that are pending, paused and in error. Whatever the callers are told
// is what happened: every success has its own fact, and the facts of each
// request are a way through the statuses that there is.
func TestRaces(t *testing.T) {
	t.Parallel()
	s := openScene(t, nil, nil, "orchestrator", "callback")
	s.receiver.Script(scenePath, raceScript())
	ids := s.contested()

	scores := make([]*score, len(ids))
	began := time.Now()
	slots := make(chan struct{}, together)
	var wg sync.WaitGroup
	for i, id := range ids {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			scores[i] = s.race(id, func(racer int) command { return commandOf(i, racer) })
		})
	}
	wg.Wait()
	took := time.Since(began)
	s.awaitCount(0, record.Approved, record.InProcessing)

	histories := s.histories()
	totals := map[string]int{}
	lost := 0
	for i, id := range ids {
		s.compare(id, scores[i], histories[id])
		for name, winners := range scores[i].wins {
			totals[name] += len(winners)
		}
		lost += scores[i].lost
	}
	t.Logf("%d races of %d callers in %s: won %v, refused %d", len(ids), racers, took.Round(time.Millisecond), totals, lost)
	for _, c := range commands() {
		if totals[c.name] == 0 {
			t.Errorf("nobody ever won %q: the races prove nothing about it", c.name)
		}
	}
	s.compareShown(ids, histories)
}

// contested are as many requests as there are rounds: a third is pending, a
// third paused, a third in error.
func (s *scene) contested() []string {
	s.t.Helper()
	kinds := []string{"pend", "halt", "fail"}
	emails := make([]string, rounds)
	for i := range emails {
		emails[i] = fmt.Sprintf("%s-%d@example.com", kinds[i%len(kinds)], i)
	}
	ids := s.mustSubmit(emails...)
	var running []string
	for i, id := range ids {
		if i%len(kinds) != 0 {
			running = append(running, id)
		}
	}
	for some := range slices.Chunk(running, 50) {
		s.mustApprove(some...)
	}
	s.awaitCount((rounds+1)/3, record.Paused)
	s.awaitCount(rounds/3, record.Failed)
	return ids
}

// compare compares what the racers were told with what happened.
func (s *scene) compare(id string, sc *score, history []told) {
	s.t.Helper()
	if _, err := path(history); err != nil {
		s.t.Errorf("%s: %v", id, err)
		return
	}
	already := map[string]int{} // what the test itself did before the race
	if len(s.callsTo(id)) > 0 && history[1].name == "request.approved" && len(sc.wins["approve"]) == 0 {
		already["approve"] = 1
	}
	for _, c := range commands() {
		happened := 0
		for _, f := range history {
			if f.name == c.fact && slices.Contains(c.reasons, f.reason) {
				happened++
			}
		}
		if c.name == "resume" && happened == 0 && len(sc.wins["cancel"]) == 1 {
			continue // kept for a call in flight, which the cancellation then made void
		}
		if won := len(sc.wins[c.name]) + already[c.name]; won != happened {
			s.t.Errorf("%s: %d callers were told that they won %q, it happened %d times: %s", id, won, c.name, happened, inOneLine(history))
		}
		if len(sc.wins[c.name]) > 1 {
			s.t.Errorf("%s: %q was won by the callers %v: %s", id, c.name, sc.wins[c.name], inOneLine(history))
		}
	}
	s.compareIdentity(id, sc)
}

// compareIdentity checks that the second webhook saw what the accepted resume
// derived, and nothing of those that were refused.
func (s *scene) compareIdentity(id string, sc *score) {
	s.t.Helper()
	calls := s.callsTo(id)
	if len(calls) == 0 {
		return
	}
	first, last := calls[0], calls[len(calls)-1]
	want := emailOf(first)
	if winners := sc.wins["resume"]; len(winners) == 1 && len(calls) > 1 {
		want = derivedBy(winners[0])
	}
	if got := emailOf(last); got != want {
		s.t.Errorf("%s: the last of %d calls says %s, want %s; resumes were won by %v", id, len(calls), got, want, sc.wins)
	}
}

// compareShown checks that the list shows the end of every history.
func (s *scene) compareShown(ids []string, histories map[string][]told) {
	s.t.Helper()
	ends := map[record.Status]int{}
	for _, id := range ids {
		end, _ := path(histories[id])
		ends[end]++
		if one, err := s.read(s.t.Context(), id); err != nil || one.Status != end {
			s.t.Errorf("%s: the list shows %q, want %q (%v)", id, one.Status, end, err)
		}
	}
	s.t.Logf("they ended as %v", ends)
}

// TestRaceOneToken posts the same reply token 64 times at the same moment: one
// resume is taken and the others are refused, and what the next webhook is told
// about the person is what the one that was taken derived.
func TestRaceOneToken(t *testing.T) {
	t.Parallel()
	s := openScene(t, nil, nil, "orchestrator", "callback")
	s.receiver.Script(scenePath, raceScript())
	emails := make([]string, 20)
	for i := range emails {
		emails[i] = fmt.Sprintf("halt-%d@example.com", i)
	}
	ids := s.mustSubmit(emails...)
	s.mustApprove(ids...)
	s.awaitCount(len(ids), record.Paused)
	resume := command{name: "resume", ask: resumeWithToken}
	for _, id := range ids {
		sc := s.race(id, func(int) command { return resume })
		if len(sc.wins["resume"]) != 1 || sc.lost != racers-1 {
			t.Errorf("%s: %d resumes with one token were taken, %d refused", id, len(sc.wins["resume"]), sc.lost)
		}
		eventually(t, func() (bool, string) {
			one, err := s.read(t.Context(), id)
			return err == nil && one.Status == record.Complete, fmt.Sprintf("%s is %s (%v)", id, one.Status, err)
		})
		s.compareIdentity(id, sc)
	}
}

// TestRaceExpiry resumes requests, by token and by a person, around the moment
// at which their halts expire: each is either resumed once or has expired,
// whatever the callers were told is what happened, and an identity that came
// too late is nowhere.
func TestRaceExpiry(t *testing.T) {
	t.Parallel()
	s := openScene(t, nil, map[string]string{"PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT": "2s", "PARLEY_REFUSED_REPLIES_PER_MINUTE": "100000"}, "orchestrator", "callback")
	s.receiver.Script(scenePath, raceScript())
	late := s.resumeLate()
	emails := make([]string, 100)
	for i := range emails {
		emails[i] = fmt.Sprintf("halt-%d@example.com", i)
	}
	ids := s.mustSubmit(emails...)
	for some := range slices.Chunk(ids, 10) {
		s.mustApprove(some...)
	}
	s.awaitCount(len(ids), record.Complete, record.Failed)
	late.callers.Wait()

	histories := s.histories()
	totals := map[string]int{}
	for _, id := range ids {
		end, err := path(histories[id])
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		sc := late.of(id)
		resumed, expired := 0, 0
		for _, f := range histories[id] {
			if f.name == "request.resumed" {
				resumed++
			}
			if f.name == "request.failed" && f.reason == events.ReasonHaltExpired {
				expired++
			}
		}
		won := len(sc.wins["resume"]) + len(sc.wins["resume by a person"])
		if resumed+expired != 1 || won != resumed || (end == record.Complete) != (resumed == 1) {
			t.Errorf("%s was resumed %d times and expired %d times, callers were told %v: %s", id, resumed, expired, sc.wins, inOneLine(histories[id]))
		}
		if calls := s.callsTo(id); len(calls) != 1+resumed {
			t.Errorf("%s: %d calls, it was resumed %d times", id, len(calls), resumed)
		}
		s.compareIdentity(id, sc)
		totals["expired"] += expired
		totals["resumed by token"] += len(sc.wins["resume"])
		totals["resumed by a person"] += len(sc.wins["resume by a person"])
	}
	t.Logf("%d halts: %v", len(ids), totals)
	if len(totals) != 3 || totals["expired"] == 0 || totals["resumed by token"] == 0 || totals["resumed by a person"] == 0 {
		t.Error("one of the ends never came: the race proves nothing about it")
	}
}

// latecomers resume each request that is halted when its time is about over.
type latecomers struct {
	mu      sync.Mutex
	scores  map[string]*score
	callers sync.WaitGroup
}

func (l *latecomers) of(id string) *score {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.scores[id] == nil {
		l.scores[id] = &score{wins: map[string][]int{}}
	}
	return l.scores[id]
}

// resumeLate waits for halts and sends, for each, eight resumes around its end.
func (s *scene) resumeLate() *latecomers {
	s.t.Helper()
	l := &latecomers{scores: map[string]*score{}}
	nc, _ := testbed.Connect(s.t, s.natsURL)
	halts := 0
	_, err := nc.Subscribe("dsr.event.request.paused.*", func(m *nats.Msg) {
		e, err := events.Decode(m.Header, m.Data)
		var data events.RequestData
		if err != nil || e.DataAs(&data) != nil || data.Until == nil {
			s.t.Errorf("a request is paused and does not say until when: %s (%v)", m.Subject, err)
			return
		}
		halts++
		for caller := range 8 {
			// Each halt is met at another moment, from a little before its end
			// until its expiry must have been noticed.
			at := data.Until.Add(time.Duration(halts%16)*75*time.Millisecond - 450*time.Millisecond + time.Duration(caller)*10*time.Millisecond)
			c := commands()[3+(halts+caller)%2] // a person, or a token
			l.callers.Go(func() { s.resumeAt(at, e.Subject(), caller, c, l.of(e.Subject())) })
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		s.t.Fatal(err)
	}
	return l
}

func (s *scene) resumeAt(at time.Time, id string, caller int, c command, sc *score) {
	select {
	case <-time.After(time.Until(at)):
	case <-s.t.Context().Done():
		return
	}
	won, known, said := c.ask(s.t.Context(), s, id, caller)
	sc.mu.Lock()
	defer sc.mu.Unlock()
	switch {
	case won:
		sc.wins[c.name] = append(sc.wins[c.name], caller)
	case known, strings.Contains(said, "Webhook token expired"):
		sc.lost++
	default:
		s.t.Errorf("%s: %s was neither done nor refused: %s", id, c.name, said)
	}
}
