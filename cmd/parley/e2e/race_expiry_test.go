//go:build faults

package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

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
