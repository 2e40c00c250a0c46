//go:build faults

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/internal/record"
)

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
