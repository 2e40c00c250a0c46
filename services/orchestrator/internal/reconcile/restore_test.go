package reconcile

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestARestoredRecordOrdersWhatItWaitsForAgain(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	since := now.Add(-time.Minute)
	hook := record.Webhook{ID: "pol_7", Key: "k", Direction: record.TwoWay, ConnectionID: "con_1"}
	call := func(kind record.WaitKind) *record.Wait {
		return &record.Wait{Kind: kind, CallID: "c", Since: since, Until: since.Add(time.Hour)}
	}
	type order struct {
		Kind      record.RecipeKind
		ID, Type  string
		CallID    string
		Until     time.Time
		WebhookID string
	}
	for name, c := range map[string]struct {
		change func(*record.Record)
		want   []order
	}{
		"nothing is waited for": {func(*record.Record) {}, nil},
		"a call": {
			func(r *record.Record) { r.Wait = call(record.WaitCall) },
			[]order{{record.RecipeCall, "pri_1.5.new.0", "", "c", since.Add(2 * time.Hour), "pol_7"}},
		},
		"a release": {
			func(r *record.Record) { r.Wait = call(record.WaitRelease) },
			[]order{{record.RecipeCall, "pri_1.5.new.0", "", "c", since.Add(2 * time.Hour), "pol_7"}},
		},
		"an execution": {
			func(r *record.Record) { r.Wait = call(record.WaitExecution) },
			[]order{{record.RecipeExecute, "pri_1.5.new.0", "", "c", since.Add(time.Hour), ""}},
		},
		"a halt": {
			func(r *record.Record) { r.Wait = call(record.WaitHalt) },
			[]order{{record.RecipeFact, "pri_1.5.new.0", events.RequestPaused, "c", since.Add(time.Hour), "pol_7"}},
		},
		"replies": {
			func(r *record.Record) {
				r.Wait = call(record.WaitPreApproval)
				r.Repliers = []record.Replier{
					{Webhook: hook, CallID: "a", Reply: "eligible"}, {Webhook: hook, CallID: "b"}, {Webhook: hook, CallID: "g", Gone: true},
				}
			},
			[]order{{record.RecipeCall, "pri_1.5.new.0", "", "b", since.Add(time.Hour), "pol_7"}},
		},
		"an outbox that was not settled": {
			func(r *record.Record) {
				r.Wait = call(record.WaitCall)
				r.Outbox = []record.Recipe{
					{Kind: record.RecipeFact, ID: "pri_1.4.old.0", Type: events.WebhookRequested},
					{Kind: record.RecipeCall, ID: "pri_1.4.old.1", CallID: "c", Webhook: &hook},
				}
			},
			[]order{
				{record.RecipeFact, "pri_1.4.old.0", events.WebhookRequested, "", time.Time{}, ""},
				{record.RecipeCall, "pri_1.5.new.1", "", "c", time.Time{}, "pol_7"},
			},
		},
	} {
		rec := &record.Record{
			ID: "pri_1", Revision: 4, Epoch: "old",
			Run: record.Run{Number: 1, Step: record.PreWebhooks, Pre: []record.Webhook{hook}},
		}
		c.change(rec)
		got := restored(rec, 0, "new", now, 2*time.Hour)
		var orders []order
		for _, r := range got.Outbox {
			o := order{Kind: r.Kind, ID: r.ID, Type: r.Type, CallID: r.CallID}
			if r.Until != nil {
				o.Until = *r.Until
			}
			if r.Webhook != nil {
				o.WebhookID = r.Webhook.ID
			}
			orders = append(orders, o)
		}
		if diff := cmp.Diff(c.want, orders); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got.Revision != 5 || got.Epoch != "new" || rec.Revision != 4 {
			t.Errorf("%s: revision %d, epoch %s", name, got.Revision, got.Epoch)
		}
	}
}
