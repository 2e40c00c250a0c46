//go:build faults

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
)

// TestDisaster lets two hundred requests run, kills everything, and puts one of
// the two places that remember back to what it was some time earlier. What the
// other place knows comes back from there: nothing that a caller was told is
// lost, and no completion that was shown. Requests go on and end, but for those
// whose person only the lost place knew: they are in error and ask for
// resubmission.
func TestDisaster(t *testing.T) {
	t.Parallel()
	t.Run("NATS", func(t *testing.T) {
		t.Parallel()
		testNATSPutBack(t, before)
	})
	t.Run("NATS, parley reconcile before the services", func(t *testing.T) {
		t.Parallel()
		testNATSPutBack(t, compared)
	})
	t.Run("NATS, beneath the services", func(t *testing.T) {
		t.Parallel()
		testNATSPutBack(t, beneath)
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		testPostgresPutBack(t, false)
	})
	t.Run("Postgres, parley reconcile beside the services", func(t *testing.T) {
		t.Parallel()
		testPostgresPutBack(t, true)
	})
}

// moment says when NATS is put back.
type moment int

const (
	before   moment = iota // before the services start
	compared               // the same, and the command compares before they do
	beneath                // while they run and wait for it
)

// testNATSPutBack puts the store of NATS back.
func testNATSPutBack(t *testing.T, when moment) {
	pg := startCluster(t)
	s := openScene(t, pg.databases(), nil)
	c := s.gather()
	copied := filepath.Join(s.dir, "nats-copy")
	c.run(func() {
		s.nats.signal(syscall.SIGTERM)
		replaceDir(t, copied, s.natsDir)
		s.nats.start()
	})
	if when == beneath {
		s.nats.kill()
	} else {
		s.killAll()
	}
	replaceDir(t, s.natsDir, copied)
	s.nats.start()
	switch when {
	case compared:
		report := s.reconcile(pg)
		if report.compared < len(c.ledger.ids(created)) || report.putBack == 0 {
			t.Errorf("of %s, parley reconcile said:\n%s", c.ledger, report.text)
		}
		t.Logf("parley reconcile:\n%s", report.text)
		if again := s.reconcile(pg); again.compared < report.compared || again.putBack != 0 || again.projected != 0 {
			t.Errorf("a second parley reconcile said:\n%s", again.text)
		}
	case beneath:
		for _, name := range serviceNames {
			s.services[name].awaitReady()
		}
	}
	s.lapse()
	if when != beneath {
		s.startReplicas()
	}
	c.checkLedger()
	c.finish()
	if lost := c.checkEnds(); lost == 0 {
		t.Error("no identity was lost: the test proves less than it should")
	}
	if report := s.reconcile(pg); report.putBack != 0 {
		t.Errorf("beside the services, at the end, parley reconcile said:\n%s", report.text)
	}
}

// testPostgresPutBack puts the database back, while nothing runs, or beneath
// services that do.
func testPostgresPutBack(t *testing.T, beneath bool) {
	pg := startCluster(t)
	s := openScene(t, pg.databases(), nil)
	c := s.gather()
	data, copied := filepath.Join(pg.dir, "postgres", "data"), filepath.Join(pg.dir, "copy")
	c.run(func() {
		pg.shutdown()
		replaceDir(t, copied, data)
		pg.revive()
	})
	logs := c.logs()
	pg.kill()
	if !beneath {
		s.killAll()
		s.nats.start()
		s.lapse()
	}
	replaceDir(t, data, copied)
	pg.revive()
	if beneath {
		report := s.reconcile(pg)
		t.Logf("parley reconcile:\n%s", report.text)
		if !strings.Contains(report.text, "projected once more") {
			t.Errorf("of %s, parley reconcile said:\n%s", c.ledger, report.text)
		}
	} else {
		s.startReplicas()
	}
	c.checkLedger()
	c.checkLogs(logs)
	c.finish()
	if lost := c.checkEnds(); lost != 0 {
		t.Errorf("%d identities were lost with a database that has none", lost)
	}
	s.checkConfigCounts()
	if report := s.reconcile(pg); report.putBack != 0 {
		t.Errorf("beside the services, at the end, parley reconcile said:\n%s", report.text)
	}
}

// run lets a first hundred requests come, takes a copy while the second half of
// them does, and lets another hundred come. It returns in the middle of that:
// some are complete, some halted, some in flight.
func (c *multitude) run(takeCopy func()) {
	c.t.Helper()
	ctx := c.t.Context()
	c.come(ctx, "one", 50)
	c.awaitAtLeast(10, record.Complete)
	var wg sync.WaitGroup
	wg.Go(func() { c.come(ctx, "two", 50) })
	takeCopy()
	wg.Wait()
	for _, name := range serviceNames {
		c.services[name].awaitReady()
	}
	c.come(ctx, "three", 80)
	c.awaitAtLeast(60, record.Complete)
	wg.Go(func() { c.come(ctx, "four", 20) })
	c.lookAround()
	wg.Wait()
	c.t.Logf("before the disaster callers were told of: %s; the list shows %v", c.ledger, count(c.all()))
}

// count counts requests by status.
func count(all map[string]record.Status) map[record.Status]int {
	n := map[record.Status]int{}
	for _, status := range all {
		n[status]++
	}
	return n
}

// killAll kills NATS and all services.
func (s *scene) killAll() {
	for _, name := range serviceNames {
		for _, c := range s.replicas[name] {
			c.kill()
		}
	}
	s.nats.kill()
}

// lapse lets the time pass after which what dead processes had taken comes
// again.
func (s *scene) lapse() {
	g := &ground{house: s.house, js: s.js, requests: s.look(topology.BucketRequests), halted: s.look(topology.BucketHalted)}
	g.lapseAll("")
}

// checkLedger checks that everything that callers were told is shown. What comes
// back may take a moment to be projected.
func (c *multitude) checkLedger() {
	c.t.Helper()
	eventually(c.t, func() (bool, string) {
		missing := c.missing()
		return len(missing) == 0, fmt.Sprintf("%d of what callers were told (%s) is lost:\n%s", len(missing), c.ledger, strings.Join(missing[:min(len(missing), 20)], "\n"))
	})
	c.checkRecords()
}

// missing says what the list does not show of the ledger.
func (c *multitude) missing() []string {
	var missing []string
	all := c.all()
	want := func(what string, ok func(record.Status) bool) {
		for _, id := range c.ledger.ids(what) {
			if status, known := all[id]; !known || !ok(status) {
				missing = append(missing, fmt.Sprintf("%s was %s and is %q", id, what, status))
			}
		}
	}
	want(created, func(record.Status) bool { return true })
	want(approved, func(s record.Status) bool { return s != record.Pending })
	want(canceled, func(s record.Status) bool { return s == record.Canceled })
	want(resumed, func(s record.Status) bool { return s != record.Paused && s != record.Pending })
	want(completed, func(s record.Status) bool { return s == record.Complete })
	return missing
}

// checkRecords checks that the bucket of records knows all that the list shows,
// once the two places are compared.
func (c *multitude) checkRecords() {
	c.t.Helper()
	bucket := c.look(topology.BucketRequests)
	for _, id := range c.ledger.ids(created) {
		eventually(c.t, func() (bool, string) {
			_, err := recordIn(c.t.Context(), bucket, id)
			return err == nil, fmt.Sprintf("record of %s: %v", id, err)
		})
	}
}

// checkEnds checks how the requests ended, and gives the number of those whose
// identity was lost.
func (c *multitude) checkEnds() (lost int) {
	c.t.Helper()
	requests, identities := c.look(topology.BucketRequests), c.look(topology.BucketIdentities)
	all := c.all()
	for id, status := range all {
		rec, err := recordIn(c.t.Context(), requests, id)
		if err != nil || rec.Status != status {
			c.t.Errorf("%s is %s, its record %s (%v)", id, status, rec.Status, err)
			continue
		}
		gone := false
		for _, key := range append([]string{id}, rec.Staged...) {
			_, err := identities.Get(c.t.Context(), key)
			gone = gone || errors.Is(err, topology.ErrNotFound)
		}
		if gone {
			lost++
		}
		c.checkEnd(id, status, gone)
	}
	c.t.Logf("the requests ended as %v, the identities of %d were lost", count(all), lost)
	return lost
}

func (c *multitude) checkEnd(id string, status record.Status, gone bool) {
	c.t.Helper()
	calls := c.callsTo(id)
	webhooks, callIDs := map[string]bool{}, map[string]bool{}
	for _, call := range calls {
		webhooks[targetOf(call)], callIDs[call.WebhookID()] = true, true
	}
	if len(callIDs) != len(webhooks) {
		c.t.Errorf("%s: %d webhooks were called under %d ids: %v", id, len(webhooks), len(callIDs), slices.Collect(maps.Keys(callIDs)))
	}
	switch {
	case status == record.Complete && len(webhooks) == 2, status == record.Canceled && c.ledger.has(canceling, id):
	case status == record.Failed && gone:
		c.awaitLog(id, logEntry{Group: "Privacy request processing", Status: "error", Message: textExpired})
	default:
		entries, err := c.log(c.t.Context(), id)
		c.t.Errorf("%s ended as %s after calls of %d webhooks, its identity is lost: %t; log: %+v (%v)", id, status, len(webhooks), gone, entries, err)
	}
}

// logs are the logs of the completed requests.
func (c *multitude) logs() map[string][]logEntry {
	c.t.Helper()
	logs := map[string][]logEntry{}
	for _, id := range c.ledger.ids(completed) {
		entries, err := c.log(c.t.Context(), id)
		if err != nil {
			c.t.Fatal(err)
		}
		logs[id] = entries
	}
	return logs
}

// checkLogs checks that the logs are what they were.
func (c *multitude) checkLogs(want map[string][]logEntry) {
	c.t.Helper()
	eventually(c.t, func() (bool, string) {
		for id, entries := range want {
			got, err := c.log(c.t.Context(), id)
			if err != nil || !slices.Equal(got, entries) {
				return false, fmt.Sprintf("the log of %s is\n%+v\nit was\n%+v (%v)", id, got, entries, err)
			}
		}
		return true, ""
	})
}

// checkConfigCounts checks that a change of the configuration is heeded, though
// the database of config went back.
func (s *scene) checkConfigCounts() {
	s.t.Helper()
	s.post(http.MethodPatch, "/api/v1/config", s.token, map[string]any{"execution": map[string]any{"require_manual_request_approval": false}})
	id := s.mustSubmit("go-last@example.com")[0]
	s.awaitStatus(id, record.Complete)
}

// reconciled is what parley reconcile printed.
type reconciled struct {
	text                         string
	compared, putBack, projected int
}

// reconcile runs the command as an operator does.
func (s *scene) reconcile(pg *cluster) reconciled {
	s.t.Helper()
	cmd := exec.Command(binary(s.t, "parley"), "reconcile")
	cmd.Env = testbed.Environ(map[string]string{
		"PARLEY_NATS_URL": s.natsURL, "PARLEY_DATABASE_URL": pg.databases()["orchestrator"], "PARLEY_ENCRYPTION_KEYS": s.keys,
		"PARLEY_LOG_LEVEL": "error",
	})
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil || problems.Len() > 0 {
		s.t.Fatalf("parley reconcile ended with %v and said:\n%s%s", err, out.String(), problems.String())
	}
	r := reconciled{text: out.String()}
	for pattern, into := range map[string]*int{
		`(\d+) compared`: &r.compared, `(\d+) put back`: &r.putBack, `(\d+) projected`: &r.projected,
	} {
		found := regexp.MustCompile(pattern).FindStringSubmatch(r.text)
		if found == nil {
			s.t.Fatalf("parley reconcile said nothing like %q:\n%s", pattern, r.text)
		}
		_, _ = fmt.Sscan(found[1], into)
	}
	return r
}

// replaceDir makes one folder the exact copy of another, owners included.
func replaceDir(t testing.TB, to, from string) {
	t.Helper()
	if out, err := exec.Command("sh", "-c", `rm -rf "$1" && cp -a "$2" "$1"`, "sh", to, from).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v: %s", from, err, out)
	}
}
