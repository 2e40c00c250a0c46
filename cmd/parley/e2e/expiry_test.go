//go:build faults

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// haltFor is the life of a halt in these tests.
const haltFor = "3s"

// absence is who is away while a halt's time passes.
type absence struct {
	name string
	// who are the services that are killed; nats and postgres say that these
	// are stopped too.
	who      []string
	nats     bool
	postgres bool
	// before says that they are gone already when the request is halted.
	before bool
}

// TestExpiry lets the time of halts pass while somebody who has to notice it is
// away. When all are back, the request has ended with its token: it is in error
// and its log asks for resubmission, the token is refused because its time is
// over, and a retry goes on at the webhook that had halted the request.
func TestExpiry(t *testing.T) {
	t.Parallel()
	for _, a := range []absence{
		{name: "nobody"},
		{name: "callback", who: []string{"callback"}},
		{name: "callback, since before the halt", who: []string{"callback"}, before: true},
		{name: "callback and orchestrator", who: []string{"callback", "orchestrator"}},
		{name: "NATS", nats: true},
		{name: "all but Postgres", who: serviceNames, nats: true},
		{name: "Postgres", postgres: true},
	} {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			testExpiry(t, a)
		})
	}
}

func testExpiry(t *testing.T, a absence) {
	var pg *cluster
	var databases map[string]string
	if a.postgres {
		pg = startCluster(t)
		databases = pg.databases()
	}
	s := openScene(t, databases, map[string]string{"PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT": haltFor})
	s.receiver.Script(scenePath, receiver.Halt(), receiver.Continue())
	id := s.mustSubmit("halted@example.com")[0]
	if a.before {
		s.leave(a, pg)
	}
	s.mustApprove(id)
	call, err := s.receiver.Next(t.Context(), scenePath)
	if err != nil {
		t.Fatal(err)
	}
	until := s.awaitHalt(call, !a.before)
	if !a.before {
		s.leave(a, pg)
	}
	// A key lives in whole seconds, so it may outlive its token by one.
	s.await(until.Add(time.Second))
	s.comeBack(a, pg)

	s.awaitStatus(id, record.Failed)
	s.awaitLog(id, logEntry{Group: "Privacy request processing", Status: "error", Message: textExpired})
	r := s.resume(t.Context(), id, call.Token(), "late@example.com")
	if r.status != http.StatusForbidden || !bytes.Contains(r.body, []byte("Webhook token expired")) {
		t.Errorf("a resume after the end was answered %s", r)
	}
	s.checkExpiredOnce(id)
	if r := s.call(t.Context(), "orchestrator", http.MethodPost, "/"+id+"/retry", s.token, nil); r.status != http.StatusOK {
		t.Fatalf("the retry was answered %s", r)
	}
	s.awaitStatus(id, record.Complete)
	calls := s.callsTo(id)
	if len(calls) != 3 || targetOf(calls[1]) != targetOf(calls[0]) || targetOf(calls[2]) == targetOf(calls[0]) {
		t.Errorf("the retry did not go on at the webhook that had halted: %d calls", len(calls))
	}
	for _, c := range calls {
		if emailOf(c) != "halted@example.com" {
			t.Errorf("%s was told %s", c.WebhookID(), emailOf(c))
		}
	}
}

// textExpired is the entry of contract §12.
const textExpired = "Privacy request has expired. Please resubmit information."

// leave takes away who is to be absent, without a warning.
func (s *scene) leave(a absence, pg *cluster) {
	for _, name := range a.who {
		s.services[name].kill()
	}
	if a.nats {
		s.nats.kill()
	}
	if a.postgres {
		pg.kill()
	}
}

func (s *scene) comeBack(a absence, pg *cluster) {
	s.t.Helper()
	if a.postgres {
		pg.revive()
	}
	if a.nats {
		s.nats.start()
	}
	for _, name := range a.who {
		s.services[name].start()
	}
	for _, name := range serviceNames {
		s.services[name].awaitReady()
	}
}

// awaitHalt waits until a call has halted its request and, where it is to be
// kept, the halt is; it gives the end of the halt.
func (s *scene) awaitHalt(c receiver.Call, kept bool) time.Time {
	s.t.Helper()
	requests, halted := s.look(topology.BucketRequests), s.look(topology.BucketHalted)
	var until time.Time
	eventually(s.t, func() (bool, string) {
		rec, err := recordIn(s.t.Context(), requests, requestOf(c))
		if err != nil || rec.Wait == nil || rec.Wait.Kind != record.WaitHalt || rec.Wait.CallID != c.WebhookID() {
			return false, fmt.Sprintf("the request waits for %+v (%v)", rec.Wait, err)
		}
		until = rec.Wait.Until
		if kept {
			_, err = halted.Get(s.t.Context(), c.WebhookID())
		}
		return err == nil, fmt.Sprintf("the halt is not kept: %v", err)
	})
	return until
}

// await waits for a moment: it is what the test is about.
func (s *scene) await(moment time.Time) {
	select {
	case <-time.After(time.Until(moment)):
	case <-s.t.Context().Done():
	}
}

func (s *scene) awaitStatus(id string, want record.Status) {
	s.t.Helper()
	eventually(s.t, func() (bool, string) {
		one, err := s.read(s.t.Context(), id)
		return err == nil && one.Status == want, fmt.Sprintf("%s is %q, want %q (%v)", id, one.Status, want, err)
	})
}

func (s *scene) awaitLog(id string, want logEntry) {
	s.t.Helper()
	eventually(s.t, func() (bool, string) {
		entries, err := s.log(s.t.Context(), id)
		return err == nil && slices.Contains(entries, want), fmt.Sprintf("the log of %s is %+v, want %+v in it (%v)", id, entries, want, err)
	})
}

// checkExpiredOnce checks that the request has a legal history, in which it
// expired once.
func (s *scene) checkExpiredOnce(id string) {
	s.t.Helper()
	history := s.histories()[id]
	if _, err := path(history); err != nil {
		s.t.Error(err)
	}
	expired := 0
	for _, f := range history {
		if f.name == "request.failed" && f.reason == events.ReasonHaltExpired {
			expired++
		}
	}
	if expired != 1 {
		s.t.Errorf("the halt of %s expired %d times: %s", id, expired, inOneLine(history))
	}
}
