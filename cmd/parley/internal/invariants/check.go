package invariants

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/parley-dsr/parley/internal/record"
)

// The rules.
const (
	RuleHistory    = "every history is legal, numbered without a gap, and told once"
	RuleStuck      = "no request is stuck"
	RuleAgreement  = "facts, records, list and database say the same"
	RuleOrder      = "webhooks are called in their order"
	RuleEnded      = "nothing is called after the end"
	RuleResume     = "no resume without a halt, no expiry before its time"
	RuleRepeat     = "a call comes again only after a fault, under the same id"
	RuleAnswered   = "every call has an end, and every end a call"
	RuleIdentity   = "calls say what is known of the person"
	RulePromise    = "what callers were told is kept"
	RuleLeftovers  = "nothing is left over"
	RulePersonal   = "nothing personal stands outside of the vault"
	RuleUnexpected = "nothing comes from nowhere"
)

// Check gives all violations.
func Check(c Collected) []Violation {
	k := &checker{Collected: c, cases: map[string]*request{}}
	k.sort()
	for _, id := range slices.Sorted(maps.Keys(k.cases)) {
		k.at = k.cases[id]
		if k.at.record == nil {
			k.violate(RuleUnexpected, "has %d facts and %d calls, and no record", len(k.at.facts), len(k.at.calls))
			continue
		}
		k.history()
		k.stuck()
		k.agreement()
		k.order()
		k.ended()
		k.resumes()
		k.repeats()
		k.answered()
		k.identity()
		k.promises()
	}
	k.at = &request{}
	k.leftovers()
	return k.found
}

// checker looks at one request after the other.
type checker struct {
	Collected
	cases map[string]*request
	at    *request
	found []Violation
}

// request is what is known of one request.
type request struct {
	id       string
	record   *record.Record
	facts    []Fact
	calls    []Call
	promises []Promise
}

func (k *checker) sort() {
	for id, rec := range k.Records {
		k.of(id).record = &rec
	}
	for _, f := range k.Facts {
		k.of(f.RequestID).facts = append(k.of(f.RequestID).facts, f)
	}
	for _, c := range k.Calls {
		k.of(c.RequestID).calls = append(k.of(c.RequestID).calls, c)
	}
	for _, p := range k.Promises {
		k.of(p.RequestID).promises = append(k.of(p.RequestID).promises, p)
	}
	for id := range k.Shown {
		k.of(id)
	}
	for id := range k.Stored {
		k.of(id)
	}
	for _, r := range k.cases {
		slices.SortStableFunc(r.calls, func(a, b Call) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
	}
}

func (k *checker) of(id string) *request {
	if k.cases[id] == nil {
		k.cases[id] = &request{id: id}
	}
	return k.cases[id]
}

func (k *checker) violate(rule, format string, args ...any) {
	k.found = append(k.found, Violation{Rule: rule, RequestID: k.at.id, Text: fmt.Sprintf(format, args...)})
}

// leftovers looks at what belongs to no request any more.
func (k *checker) leftovers() {
	for _, work := range k.Work {
		k.violate(RuleLeftovers, "work: %s", work)
	}
	for _, unread := range k.Unread {
		k.violate(RuleLeftovers, "not handled: %s", unread)
	}
	for _, call := range k.Halts {
		k.violate(RuleLeftovers, "the halt of %s", call)
	}
	for _, found := range k.Personal {
		k.violate(RulePersonal, "%s stands in %s", found.Value, found.Place)
	}
}
