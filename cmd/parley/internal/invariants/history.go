package invariants

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// legal are the transitions that there are: from a status, by a fact, to the
// next status.
var legal = map[record.Status]map[string]record.Status{
	"": {"request.created": record.Pending},
	record.Pending: {
		"request.approved": record.Approved, "request.denied": record.Denied, "request.canceled": record.Canceled,
		"request.awaiting_pre_approval":     record.AwaitingPreApproval,
		"request.pre_approval_not_eligible": record.PreApprovalNotEligible,
		"request.pre_approval_eligible":     record.Pending,
	},
	record.AwaitingPreApproval: {
		"request.approved": record.Approved, "request.denied": record.Denied, "request.canceled": record.Canceled,
		"webhook.requested":                 record.AwaitingPreApproval,
		"request.pre_approval_eligible":     record.AwaitingPreApproval,
		"request.pre_approval_not_eligible": record.PreApprovalNotEligible,
		"request.pending":                   record.Pending,
	},
	record.PreApprovalNotEligible: {
		"request.approved": record.Approved, "request.denied": record.Denied, "request.canceled": record.Canceled,
	},
	record.Approved: {"request.started": record.InProcessing, "request.failed": record.Failed},
	record.InProcessing: {
		"webhook.requested": record.InProcessing, "request.paused": record.Paused, "request.completed": record.Complete,
		"request.failed": record.Failed, "request.canceled": record.Canceled, "request.resumed": record.InProcessing,
		"request.started": record.InProcessing, // a retry of what never began
	},
	record.Paused: {
		"request.resumed": record.InProcessing, "request.failed": record.Failed, "request.canceled": record.Canceled,
	},
	record.Failed: {"request.retried": record.InProcessing},
}

// history follows the facts: each is legal where it comes, has the next number,
// and stands in the stream once; at the end is the status of the record.
func (k *checker) history() {
	ids := map[string]bool{}
	at, number := record.Status(""), uint64(0)
	for _, f := range k.at.facts {
		if ids[f.ID] {
			k.violate(RuleHistory, "the fact %s stands twice in the stream", f.ID)
		}
		ids[f.ID] = true
		if f.Number == 0 {
			continue
		}
		if number++; f.Number != number {
			k.violate(RuleHistory, "fact %d has the number %d: %s", number, f.Number, k.at.story())
			return
		}
		next, ok := legal[at][f.Name]
		early := f.Name != "request.resumed" || at == record.Paused || f.Reason == events.ReasonResumedEarly
		if !ok || !early {
			k.violate(RuleHistory, "%s while %q: %s", f.Name, at, k.at.story())
			return
		}
		if f.Name != "webhook.requested" && f.Status != next {
			k.violate(RuleHistory, "%s says %q, want %q: %s", f.Name, f.Status, next, k.at.story())
		}
		at = next
	}
	if at != k.at.record.Status {
		k.violate(RuleAgreement, "the facts end with %q, the record is %q: %s", at, k.at.record.Status, k.at.story())
	}
}

// story is the history in one line.
func (r *request) story() string {
	var names []string
	for _, f := range r.facts {
		name := f.Name
		if f.Number > 0 {
			name = fmt.Sprintf("%d %s", f.Number, f.Name)
		}
		if f.Reason != "" {
			name += " (" + f.Reason + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// stuck looks whether the request has ended, and if in error, why.
func (k *checker) stuck() {
	rec := k.at.record
	if !rec.Status.Ended() {
		k.violate(RuleStuck, "is %s, waits for %+v: %s", rec.Status, rec.Wait, k.at.story())
		return
	}
	if rec.Wait != nil {
		k.violate(RuleStuck, "is %s and waits for %+v", rec.Status, *rec.Wait)
	}
	if rec.Status != record.Failed {
		return
	}
	if reason := k.at.lastReason(); !slices.Contains(k.MayFail, reason) {
		k.violate(RuleStuck, "is in error because of %q: %s", reason, k.at.story())
	}
}

// lastReason is why the request failed the last time.
func (r *request) lastReason() string {
	for _, f := range slices.Backward(r.facts) {
		if f.Name == "request.failed" {
			return f.Reason
		}
	}
	return ""
}

// agreement compares the places where a status stands.
func (k *checker) agreement() {
	for place, statuses := range map[string]map[string]record.Status{"the list": k.Shown, "the database": k.Stored} {
		if status, ok := statuses[k.at.id]; !ok || status != k.at.record.Status {
			k.violate(RuleAgreement, "is %q, %s has %q", k.at.record.Status, place, status)
		}
	}
}
