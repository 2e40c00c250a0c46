package readmodel_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

// crowd makes requests as they come in an installation that is two years old.
type crowd struct {
	random *rand.Rand
	newest time.Time
	size   int
}

func newCrowd(size int) *crowd {
	return &crowd{
		random: rand.New(rand.NewPCG(4, 2)), //nolint:gosec // the same every time
		newest: time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC), size: size,
	}
}

// project writes the requests; revision says how often each has changed.
func (c *crowd) project(t testing.TB, s *readmodel.Store, revision uint64) {
	t.Helper()
	const batch = 256
	for from := 0; from < c.size; from += batch {
		var b readmodel.Batch
		for n := from; n < min(from+batch, c.size); n++ {
			b.Records = append(b.Records, c.request(n, revision))
		}
		if err := s.Project(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// settled is what autovacuum does in the background: statistics, and a note of
// which pages everybody sees. It is done again where somebody was looking.
func settled(t testing.TB, s *readmodel.Store) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for visible := 0.0; visible < 0.95; {
		if err := s.Exec(t.Context(), "VACUUM (ANALYZE) requests"); err != nil {
			t.Fatal(err)
		}
		var err error
		if visible, err = s.Visible(t.Context()); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %.0f %% of the table can be seen by everybody", 100*visible)
		}
	}
}

// hash is as long as a keyed hash.
func hash(field, value string) string {
	sum := sha256.Sum256([]byte(field + ":" + value))
	return hex.EncodeToString(sum[:])
}

// idOf spreads ids as random ones are spread.
func idOf(n int) string {
	h := hash("id", fmt.Sprint(n))
	return fmt.Sprintf("pri_%s-%s-4%s-a%s-%s", h[:8], h[8:12], h[13:16], h[17:20], h[20:32])
}

func emailOf(n int) string { return fmt.Sprintf("person-%d@example.com", n) }

// weighed picks by weight.
func weighed[T any](c *crowd, weights []int, values []T) T {
	total := 0
	for _, w := range weights {
		total += w
	}
	at := c.random.IntN(total)
	for i, w := range weights {
		if at < w {
			return values[i]
		}
		at -= w
	}
	return values[0]
}

func (c *crowd) request(n int, revision uint64) *record.Record {
	created := c.newest.Add(-time.Duration(c.size-n) * (2 * 365 * 24 * time.Hour / time.Duration(c.size)))
	action := weighed(c, []int{50, 45, 5}, []string{record.ActionAccess, record.ActionErasure, record.ActionConsent})
	due := created.Add(45 * 24 * time.Hour)
	rec := &record.Record{
		ID: idOf(n), Revision: revision, Epoch: "4f6b1c2a", Sequence: 9, CreatedAt: created, UpdatedAt: created, DueDate: &due,
		Status: weighed(c, []int{700, 60, 40, 50, 60, 40, 30, 10, 10}, []record.Status{
			record.Complete, record.Denied, record.Canceled, record.Failed, record.Pending, record.InProcessing, record.Paused,
			record.AwaitingPreApproval, record.PreApprovalNotEligible,
		}),
		Policy:   policyOf(action),
		Run:      record.Run{Number: 1, Step: record.Finalization, Index: 1, Order: 5, Pre: hooks("pre", 3), Post: hooks("post", 2)},
		Commands: []string{hash("command", fmt.Sprint(n))[:32], hash("command", fmt.Sprint(-n))[:32]},
		Staged:   []string{"derived." + idOf(n) + ".1"},
	}
	rec.Submission = c.submission(n, created, "default_"+action+"_policy")
	c.lived(rec)
	return rec
}

func policyOf(action string) record.Policy {
	days, drp := 45, action
	return record.Policy{
		ID: "pol_8a3c0000-0000-4000-8000-000000000001", Name: "Default policy: " + action, Key: "default_" + action + "_policy",
		DRPAction: &drp, ExecutionTimeframe: &days,
		Rules: []record.Rule{{
			ID: "rul_8a3c0000-0000-4000-8000-000000000002", Name: "Default rule", Key: "default_rule", ActionType: action,
		}},
	}
}

func hooks(phase string, n int) []record.Webhook {
	var list []record.Webhook
	for i := range n {
		list = append(list, record.Webhook{
			ID: "pol_" + idOf(i)[4:], Key: fmt.Sprintf("%s_webhook_%d", phase, i), Name: fmt.Sprintf("The %s webhook %d", phase, i),
			Direction: record.TwoWay, ConnectionID: "con_" + idOf(-i)[4:], ConnectionKey: fmt.Sprintf("connection_%d", i),
		})
	}
	return list
}

func (c *crowd) submission(n int, created time.Time, policy string) record.Submission {
	person := c.random.IntN(c.size*3/4 + 1)
	sub := record.Submission{
		PolicyKey: policy, RequestedAt: created,
		IdentityHashes: map[string][]string{"email": {hash("email", emailOf(person))}, "phone_number": {hash("phone_number", fmt.Sprint(person))}},
		Source: weighed(c, []int{30, 50, 15, 4, 1}, []*string{
			nil, text("Privacy Center"), text("Request Manager"), text("Consent Webhook"), text("Dataset Test"),
		}),
		Location: weighed(c, []int{200, 150, 100, 100, 250, 199, 1}, []*string{
			nil, text("US-CA"), text("US-NY"), text("US"), text("DE"), text("GB"), text("IS"),
		}),
	}
	if n%2 == 0 {
		sub.SealedExternalID = fmt.Sprintf("Ticket-%07d", n)
	}
	if n%10 == 0 {
		sub.CustomFieldHashes = map[string][]string{"shop": {hash("shop", fmt.Sprint(n%1000))}}
	}
	return sub
}

// lived gives a request the times of its status.
func (c *crowd) lived(rec *record.Record) {
	after := func(atMost time.Duration) *time.Time {
		at := rec.CreatedAt.Add(time.Duration(1 + c.random.Int64N(int64(atMost))))
		rec.UpdatedAt = at
		return &at
	}
	if rec.Status == record.Pending || rec.Status == record.AwaitingPreApproval || rec.Status == record.PreApprovalNotEligible {
		return
	}
	rec.ReviewedAt = after(24 * time.Hour)
	switch rec.Status {
	case record.Complete, record.Failed:
		rec.StartedAt, rec.FinishedAt = rec.ReviewedAt, after(30*24*time.Hour)
	case record.Paused:
		rec.StartedAt, rec.PausedAt = rec.ReviewedAt, rec.ReviewedAt
	case record.InProcessing:
		rec.StartedAt = rec.ReviewedAt
	case record.Canceled:
		rec.CanceledAt = rec.ReviewedAt
	}
	if c.random.IntN(50) == 0 {
		rec.DeletedAt = after(90 * 24 * time.Hour)
	}
}

func text(s string) *string { return &s }

// asked is a search.
type asked struct {
	name   string
	filter readmodel.Filter
	order  readmodel.Order
	page   int
}

// searches are every filter, where it finds many, few, and none, and some of
// what people ask for together.
func (c *crowd) searches() []asked {
	at := func(before time.Duration) *time.Time {
		moment := c.newest.Add(-before)
		return &moment
	}
	const day = 24 * time.Hour
	week, year := readmodel.Range{After: at(7 * day)}, readmodel.Range{After: at(400 * day), Before: at(30 * day)}
	f := func(name string, filter readmodel.Filter) asked { return asked{name: name, filter: filter, page: 1} }
	list := []asked{
		f("nothing asked", readmodel.Filter{}),
		{name: "nothing asked, page 1 000 or the last", page: min(1000, c.size/60)},
		f("request_id, whole", readmodel.Filter{IDPart: idOf(77)}),
		f("request_id, a part", readmodel.Filter{IDPart: idOf(77)[10:18]}),
		f("status, most", readmodel.Filter{Statuses: []string{"complete"}}),
		f("status, few", readmodel.Filter{Statuses: []string{"awaiting_pre_approval"}}),
		f("status, several", readmodel.Filter{Statuses: []string{"pending", "paused", "in_processing", "approved"}}),
		f("status, none", readmodel.Filter{Statuses: []string{"requires_input"}}),
		f("identities", readmodel.Filter{IdentityHashes: []string{hash("email", emailOf(5))}}),
		f("identities, unknown", readmodel.Filter{IdentityHashes: []string{hash("email", "nobody")}}),
		f("fuzzy_search_str, begin of an id", readmodel.Filter{Fuzzy: idOf(77)[:12], FuzzyHashes: []string{hash("email", "x")}}),
		f("fuzzy_search_str, an identity", readmodel.Filter{Fuzzy: emailOf(5), FuzzyHashes: []string{hash("email", emailOf(5))}}),
		f("custom_privacy_request_fields", readmodel.Filter{FieldHashes: []string{hash("shop", "10")}}),
		f("external_id, few", readmodel.Filter{ExternalID: "ticket-000012"}),
		f("external_id, half", readmodel.Filter{ExternalID: "ticket"}),
		f("location, a country", readmodel.Filter{Location: "US"}),
		f("location, a state", readmodel.Filter{Location: "US-NY"}),
		f("location, rare", readmodel.Filter{Location: "IS"}),
		f("action_type", readmodel.Filter{Actions: []string{"erasure"}}),
		f("action_type, none", readmodel.Filter{Actions: []string{"update"}}),
		f("created, a week", readmodel.Filter{Created: week}),
		f("created, a year", readmodel.Filter{Created: year}),
		f("started, a week", readmodel.Filter{Started: week}),
		f("started, a year", readmodel.Filter{Started: year}),
		f("completed, a week", readmodel.Filter{Completed: week}),
		f("completed, a year", readmodel.Filter{Completed: year}),
		f("errored, a week", readmodel.Filter{Errored: week}),
		f("errored, a year", readmodel.Filter{Errored: year}),
		f("is_overdue", readmodel.Filter{OverdueAt: &c.newest}),
		f("is_overdue, long ago", readmodel.Filter{OverdueAt: at(680 * day)}),
		f("is_overdue, not", readmodel.Filter{NotOverdueAt: &c.newest}),
		f("include_deleted_requests", readmodel.Filter{Deleted: true}),
		f("include_consent_webhook_requests", readmodel.Filter{ConsentWebhooks: true}),
		f("all of them", readmodel.Filter{Deleted: true, ConsentWebhooks: true}),
		f("request_ids", readmodel.Filter{IDs: []string{idOf(1), idOf(2), idOf(3)}}),
		f("filters with exclude_ids", readmodel.Filter{Statuses: []string{"pending"}, ExcludeIDs: []string{idOf(1), idOf(2)}}),
		f("status, location and created", readmodel.Filter{Statuses: []string{"complete"}, Location: "US", Created: year}),
		f("status, action and location", readmodel.Filter{Statuses: []string{"error"}, Actions: []string{"erasure"}, Location: "DE"}),
	}
	return append(list, sorts()...)
}

// sorts is every field by which a list is sorted, in both directions.
func sorts() []asked {
	var list []asked
	for _, field := range []string{
		"id", "status", "external_id", "source", "location", "created_at", "updated_at", "started_processing_at",
		"finished_processing_at", "reviewed_at", "paused_at", "canceled_at", "due_date", "deleted_at", "days_left",
	} {
		for _, ascending := range []bool{false, true} {
			name := "sorted by " + field + ", desc"
			if ascending {
				name = "sorted by " + field + ", asc"
			}
			list = append(list, asked{name: name, order: readmodel.Order{Field: field, Ascending: ascending}, page: 1})
		}
	}
	return list
}
