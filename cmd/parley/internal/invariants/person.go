package invariants

import (
	"maps"
	"slices"

	"github.com/parley-dsr/parley/internal/record"
)

// identity looks whether two_way calls say what was submitted, and what answers
// and resumes that were accepted before the call was ordered have derived.
func (k *checker) identity() {
	known := maps.Clone(k.Submitted[k.at.id])
	if known == nil {
		return // the person was not told that there is this request
	}
	given := map[string]map[string]string{}
	for _, c := range k.at.calls {
		if c.Status != 0 {
			given[c.WebhookID] = c.Derived
		}
	}
	for _, f := range k.at.facts {
		switch f.Name {
		case "webhook.succeeded", "webhook.halted":
			if f.Staged {
				maps.Copy(known, given[f.CallID])
			}
		case "request.resumed":
			maps.Copy(known, k.Resumed[f.CallID])
		case "webhook.requested":
			k.says(f.CallID, known)
		}
	}
}

func (k *checker) says(callID string, known map[string]string) {
	for _, c := range k.at.calls {
		if c.WebhookID != callID || c.Direction != record.TwoWay {
			continue
		}
		for _, field := range slices.Sorted(maps.Keys(known)) {
			if c.Identity[field] != known[field] {
				k.violate(RuleIdentity, "%s does not say the %s that was known: %s", callID, field, k.at.story())
			}
		}
	}
}

// promises looks whether what callers were told stands in the facts.
func (k *checker) promises() {
	for _, p := range k.at.promises {
		kept := slices.ContainsFunc(k.at.facts, func(f Fact) bool {
			return f.Name == "request."+string(p.What) && (p.CallID == "" || f.CallID == p.CallID)
		})
		if !kept {
			k.violate(RulePromise, "a caller was told that it was %s %s: %s", p.What, p.CallID, k.at.story())
		}
	}
}
