//go:build faults

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// slow is a trial of which is told, though it passed, where its time went.
const slow = 12 * time.Second

// row is what came of a trial.
type row struct {
	at       sign
	calls    []string // per request, the number of calls of each webhook
	repeats  int
	status   []string
	waited   bool
	took     time.Duration
	problems []string
}

// verify checks a trial that is over.
func (tr *trial) verify() row {
	r := row{at: tr.at, took: time.Since(tr.began)}
	select {
	case <-tr.struck:
	default:
		tr.problem("%q was not seen", tr.at)
	}
	for _, a := range tr.asked() {
		id := a.id
		r.status = append(r.status, string(a.status))
		if a.status != record.Complete {
			tr.problem("%s is %s", id, a.status)
		}
		calls, repeats := tr.verifyCalls(id)
		r.calls, r.repeats = append(r.calls, calls), r.repeats+repeats
		tr.verifyFacts(id)
	}
	if limit := tr.repeatsAtMost(); r.repeats > limit {
		tr.problem("%d calls were repeated, at most %d may be", r.repeats, limit)
	}
	r.waited = tr.has("acknowledgements were waited for")
	switch {
	case len(tr.problems) > 0:
		tr.problem("what was seen: %s", tr.situation())
	case r.took > slow:
		tr.g.t.Logf("%s at %q took %s: %s", tr.deed.name, tr.at, r.took, tr.situation())
	}
	r.problems = tr.problems
	return r
}

// repeatsAtMost is one call for what was broken, where that may lose an
// acknowledgement. What a process that lives has in hand comes again when its
// time passes, which in a trial is sooner than in earnest: a busy machine may be
// making a call then.
func (tr *trial) repeatsAtMost() int {
	if !tr.deed.repeats {
		return 0
	}
	return 1 + tr.lapses
}

// verifyCalls checks that each webhook was called, in order, once or again
// under the same id, and with what had been derived by then.
func (tr *trial) verifyCalls(id string) (perWebhook string, repeats int) {
	var counts [4]int
	ids := map[string]int{}
	last := 0
	for _, c := range tr.g.callsOf(id) {
		p, err := c.Payload()
		if err != nil {
			tr.problem("%v", err)
			continue
		}
		n := turn(p)
		counts[n-1]++
		if _, known := ids[c.WebhookID()]; known {
			repeats++ // a one_way call may come again later than the next one
			continue
		}
		ids[c.WebhookID()] = n
		if n < last {
			tr.problem("%s: webhook %d was called after webhook %d", id, n, last)
		}
		last = n
		email := tr.name + "@example.com"
		if n > 2 {
			email = tr.name + "@example.org"
		}
		if p.Identity["email"] != email || n > 2 && p.Identity["phone_number"] != derivedPhone {
			tr.problem("%s: webhook %d was called with another identity", id, n)
		}
	}
	if len(ids) != 4 {
		tr.problem("%s: the calls have %d webhook-ids, want 4: %v", id, len(ids), ids)
	}
	return strings.Trim(fmt.Sprint(counts), "[]"), repeats
}

// decided are the orchestrator's facts of the story, each of which is said once.
var decided = []string{
	"request.created", "request.approved", "request.started", "webhook.requested", "webhook.requested", "request.paused",
	"request.resumed", "webhook.requested", "webhook.requested", "request.completed",
}

// verifyFacts checks that the orchestrator has said everything once and in
// order, and that nobody has said anything twice under one id.
func (tr *trial) verifyFacts(id string) {
	var names []string
	ids := map[string]bool{}
	last := uint64(0)
	for _, e := range tr.g.facts(id) {
		if ids[e.ID()] {
			tr.problem("%s: the fact %s stands twice in the stream", id, e.ID())
		}
		ids[e.ID()] = true
		var data struct {
			Sequence uint64 `json:"sequence"`
		}
		if err := e.DataAs(&data); err != nil {
			tr.problem("%s: %v", id, err)
		}
		if e.Source() != events.SourceOrchestrator {
			continue
		}
		names = append(names, factName(e))
		if data.Sequence != last+1 {
			tr.problem("%s: fact %d came after %d", id, data.Sequence, last)
		}
		last = data.Sequence
	}
	if !slices.Equal(names, decided) {
		tr.problem("%s: the orchestrator said\n  %s\nwant\n  %s", id, strings.Join(names, "\n  "), strings.Join(decided, "\n  "))
	}
}

// table collects the rows of a deed and shows them when the test ends.
type table struct {
	t        *testing.T
	deed     deed
	rows     []row
	failures int
}

func newTable(t *testing.T, d deed) *table {
	tb := &table{t: t, deed: d}
	t.Cleanup(tb.show)
	return tb
}

func (tb *table) add(r row) {
	tb.t.Helper()
	tb.rows = append(tb.rows, r)
	if len(r.problems) > 0 {
		tb.failures++
		tb.t.Errorf("%s at %q:\n%s", tb.deed.name, r.at, strings.Join(r.problems, "\n"))
	}
}

func (tb *table) show() {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "point\tbroken\tcalls of webhook 1 2 3 4\trepeats\tend\ttook\t")
	for _, r := range tb.rows {
		note := ""
		if r.waited {
			note = "acknowledgements waited for"
		}
		if len(r.problems) > 0 {
			note += " FAILED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%.1fs\t%s\n", r.at, tb.deed.name, strings.Join(r.calls, " + "), r.repeats, strings.Join(r.status, " + "), r.took.Seconds(), note)
	}
	_ = w.Flush()
	tb.t.Logf("\n%s", text.String())
}

// checkLeftovers waits until no work is left that anybody is to do.
func (g *ground) checkLeftovers() {
	g.t.Helper()
	g.lapseAll("")
	eventually(g.t, func() (bool, string) {
		work, known := g.waiting(g.t.Context(), ">")
		return known && len(work) == 0, fmt.Sprintf("work is left: %v%s", work, g.consumers())
	})
}
