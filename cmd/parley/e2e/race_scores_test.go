//go:build faults

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
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
