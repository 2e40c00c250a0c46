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
	// overlap is how many rounds are raced at the same time.
	overlap = 3
)

// command is what a racer asks for. A fact of the name, for the reason, tells
// that somebody won.
type command struct {
	name    string
	fact    string
	reasons []string
	ask     func(ctx context.Context, s *scene, id string, racer int) (o outcome, said string)
}

// outcome is what a racer was told.
type outcome int

const (
	strange outcome = iota // neither done nor refused
	won
	lost
	unsure // 503: try again
)

func commands() []command {
	bulkAction := func(action string) func(context.Context, *scene, string, int) (outcome, string) {
		return func(ctx context.Context, s *scene, id string, _ int) (outcome, string) {
			r := s.review(ctx, action, id)
			b, err := r.bulk()
			said := r.String()
			switch {
			case r.busy():
				return unsure, said
			case err != nil:
				return strange, said
			case len(b.Succeeded) == 1 && b.Succeeded[0].ID == id:
				return won, said
			case strings.Contains(said, "Cannot "):
				return lost, said
			}
			return strange, said
		}
	}
	single := func(path string) func(context.Context, *scene, string, int) (outcome, string) {
		return func(ctx context.Context, s *scene, id string, _ int) (outcome, string) {
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
func resumeWithToken(ctx context.Context, s *scene, id string, racer int) (outcome, string) {
	token := ""
	calls := s.callsTo(id)
	for _, c := range calls {
		if targetOf(c) == targetOf(calls[0]) {
			token = c.Token()
		}
	}
	if token == "" {
		return lost, "no token"
	}
	return judge(s.resume(ctx, id, token, derivedBy(racer)))
}

func derivedBy(racer int) string { return fmt.Sprintf("derived-by-%d@example.com", racer) }

func judge(r reply) (outcome, string) {
	switch {
	case r.busy():
		return unsure, r.String()
	case r.problem != nil:
		return strange, r.String()
	case r.status == http.StatusOK:
		return won, r.String()
	case r.status == http.StatusBadRequest:
		return lost, r.String()
	}
	return strange, r.String()
}

// score is who won what for one request.
type score struct {
	mu   sync.Mutex
	wins map[string][]int // command to the racers who won it
	lost int
	// unsure are those who were told that nobody knows: on a busy machine the
	// answer does not come in time, and the command may be carried out or not.
	unsure map[string][]int
}

func newScore() *score { return &score{wins: map[string][]int{}, unsure: map[string][]int{}} }

// note notes what a racer was told; false is for an answer that no caller can
// make anything of.
func (sc *score) note(name string, racer int, o outcome) bool {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	switch o {
	case won:
		sc.wins[name] = append(sc.wins[name], racer)
	case lost:
		sc.lost++
	case unsure:
		sc.unsure[name] = append(sc.unsure[name], racer)
	default:
		return false
	}
	return true
}

// told says how often a command was won, at least and at most.
func (sc *score) told(names ...string) (least, most int) {
	for _, name := range names {
		least += len(sc.wins[name])
		most += len(sc.wins[name]) + len(sc.unsure[name])
	}
	return least, most
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
	sc := newScore()
	start := make(chan struct{})
	var wg sync.WaitGroup
	for racer := range racers {
		c := commandOf(racer)
		wg.Go(func() {
			<-start
			if o, said := c.ask(s.t.Context(), s, id, racer); !sc.note(c.name, racer, o) {
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
	slots := make(chan struct{}, overlap)
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
	refused, unsure := 0, 0
	for i, id := range ids {
		s.compare(id, scores[i], histories[id])
		for name, winners := range scores[i].wins {
			totals[name] += len(winners)
		}
		for _, some := range scores[i].unsure {
			unsure += len(some)
		}
		refused += scores[i].lost
	}
	t.Logf("%d races of %d callers in %s: won %v, refused %d, told to try again %d", len(ids), racers, took.Round(time.Millisecond), totals, refused, unsure)
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
	s.mustApprove(running...)
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
	if approvedBefore(s.callsTo(id)) {
		already["approve"] = 1
	}
	for _, c := range commands() {
		happened := 0
		for _, f := range history {
			if f.name == c.fact && slices.Contains(c.reasons, f.reason) {
				happened++
			}
		}
		least, most := sc.told(c.name)
		_, canceled := sc.told("cancel")
		if c.name == "resume" && happened == 0 && canceled > 0 {
			continue // kept for a call in flight, which the cancellation then made void
		}
		if happened -= already[c.name]; happened < least || happened > most {
			s.t.Errorf("%s: %d callers were told that they won %q and %d to try again, it happened %d times: %s",
				id, least, c.name, most-least, happened, inOneLine(history))
		}
		if len(sc.wins[c.name]) > 1 {
			s.t.Errorf("%s: %q was won by the callers %v: %s", id, c.name, sc.wins[c.name], inOneLine(history))
		}
	}
	s.compareIdentity(id, sc)
}

// approvedBefore says whether the test has approved the request before the race:
// one that was then halted or failed.
func approvedBefore(calls []receiver.Call) bool {
	return len(calls) > 0 && !strings.HasPrefix(emailOf(calls[0]), "pend-")
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
	want := []string{emailOf(first)}
	if winners := sc.wins["resume"]; len(winners) == 1 && len(calls) > 1 {
		want = []string{derivedBy(winners[0])}
	} else if len(calls) > 1 {
		for _, racer := range sc.unsure["resume"] {
			want = append(want, derivedBy(racer))
		}
	}
	if got := emailOf(last); !slices.Contains(want, got) {
		s.t.Errorf("%s: the last of %d calls says %s, want one of %v; resumes were won by %v", id, len(calls), got, want, sc.wins)
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
		if least, most := sc.told("resume"); least > 1 || most < 1 || sc.lost+most != racers {
			t.Errorf("%s: %d resumes with one token were taken, %d refused, %d told to try again", id, least, sc.lost, most-least)
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
	s := openScene(t, nil, map[string]string{"PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT": "5s", "PARLEY_REFUSED_REPLIES_PER_MINUTE": "100000"}, "orchestrator", "callback")
	s.receiver.Script(scenePath, raceScript())
	late := s.resumeLate()
	emails := make([]string, 100)
	for i := range emails {
		emails[i] = fmt.Sprintf("halt-%d@example.com", i)
	}
	ids := s.mustSubmit(emails...)
	s.mustApprove(ids...)
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
		least, most := sc.told("resume", "resume by a person")
		if resumed+expired != 1 || resumed < least || resumed > most || (end == record.Complete) != (resumed == 1) {
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
		l.scores[id] = newScore()
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
			// Each halt is met at another moment, from well before its end, also
			// on a busy machine, until its expiry must have been noticed.
			at := data.Until.Add(offsets[halts/3%len(offsets)] + time.Duration(caller)*10*time.Millisecond)
			c := commands()[3+[]int{0, 1, caller % 2}[halts%3]] // a person, a token, or either
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

// offsets are when resumes are sent, from the end of a halt: most of them close
// to it.
var offsets = []time.Duration{
	-3 * time.Second, -3 * time.Second, -time.Second, -450 * time.Millisecond, -300 * time.Millisecond,
	-225 * time.Millisecond, -150 * time.Millisecond, -75 * time.Millisecond, 0, 75 * time.Millisecond,
	150 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond, time.Second, 2 * time.Second, 2 * time.Second,
}

func (s *scene) resumeAt(at time.Time, id string, caller int, c command, sc *score) {
	select {
	case <-time.After(time.Until(at)):
	case <-s.t.Context().Done():
		return
	}
	o, said := c.ask(s.t.Context(), s, id, caller)
	if o == strange && strings.Contains(said, "Webhook token expired") {
		o = lost
	}
	if !sc.note(c.name, caller, o) {
		s.t.Errorf("%s: %s was neither done nor refused: %s", id, c.name, said)
	}
}
