package outbox_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/outbox"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func at() time.Time { return time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC) }

func hook() *record.Webhook {
	return &record.Webhook{ID: "pol_7", Key: "k", Name: "n", Direction: record.TwoWay, ConnectionID: "con_1", ConnectionKey: "c"}
}

func running() *record.Record {
	external := "ext-9"
	return &record.Record{
		ID: "pri_1", Revision: 3, Epoch: "e", Status: record.InProcessing,
		Submission: record.Submission{PolicyKey: "p", SealedExternalID: external, RequestedAt: at()},
		Policy: record.Policy{ID: "pol_1", Name: "P", Key: "p", Rules: []record.Rule{
			{ID: "rul_1", Key: "r", ActionType: record.ActionErasure},
		}},
		Run: record.Run{Number: 2, Step: record.PreWebhooks, Order: 4},
	}
}

func callRecipe(kind record.RecipeKind) record.Recipe {
	until := at().Add(time.Hour)
	return record.Recipe{
		ID: "pri_1.3.e.0", Kind: kind, Type: events.WebhookRequested, Time: at(), Trace: traceParent, Sequence: 6,
		CallID: record.WebhookCall("pri_1", 2, record.Pre, "pol_7", 4).String(), Webhook: hook(), Phase: record.Pre, Until: &until,
	}
}

func TestAFactIsMadeOfRecordAndRecipe(t *testing.T) {
	t.Parallel()
	rec := running()
	recipe := record.Recipe{
		ID: "pri_1.3.e.1", Kind: record.RecipeFact, Type: events.RequestPaused, Time: at(), Trace: traceParent,
		Sequence: 5, Status: record.Paused, Step: record.PreWebhooks, Reason: events.ReasonHalted, CallID: "c",
		Message: "m", Webhook: hook(), Actor: "client",
	}
	e, err := outbox.Fact(rec, recipe)
	if err != nil {
		t.Fatal(err)
	}
	if e.ID() != recipe.ID || e.Type() != recipe.Type || e.Subject() != "pri_1" || !e.Time().Equal(at()) {
		t.Errorf("attributes: %v", e)
	}
	if got := events.TraceParent(e); got != traceParent {
		t.Errorf("traceparent %q", got)
	}
	var data events.RequestData
	if err := e.DataAs(&data); err != nil {
		t.Fatal(err)
	}
	actor := "client"
	want := events.RequestData{
		Sequence: 5, Status: "paused", Run: 2, Step: "pre_webhooks", Reason: events.ReasonHalted, CallID: "c", Message: "m",
		Webhook: &events.Webhook{ID: "pol_7", Key: "k", Name: "n", Direction: "two_way", ConnectionID: "con_1", ConnectionKey: "c"},
		Actor:   &actor, Request: rec.Public(at(), record.Paused),
	}
	if diff := cmp.Diff(want, data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	if bytes.Contains(e.Data(), []byte("ext-9")) {
		t.Error("the fact shows the external id")
	}
}

func TestARequestedWebhookNamesItsCall(t *testing.T) {
	t.Parallel()
	e, err := outbox.Fact(running(), callRecipe(record.RecipeFact))
	if err != nil {
		t.Fatal(err)
	}
	var data events.WebhookData
	if err := e.DataAs(&data); err != nil {
		t.Fatal(err)
	}
	if data.CallID != "pri_1_2_pre_pol_7_4" || data.Run != 2 || data.Order != 4 || data.Phase != "pre" || data.Sequence != 6 {
		t.Errorf("data: %+v", data)
	}
}

func TestACallIsItsFirstAttempt(t *testing.T) {
	t.Parallel()
	got, err := outbox.Call(running(), callRecipe(record.RecipeCall))
	if err != nil {
		t.Fatal(err)
	}
	want := work.Call{
		CallID: "pri_1_2_pre_pol_7_4", RequestID: "pri_1", Run: 2, Phase: record.Pre, Order: 4, Webhook: *hook(),
		Attempt: 1, OrderedAt: at(), Until: at().Add(time.Hour), TraceParent: traceParent,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("call (-want +got):\n%s", diff)
	}
}

func TestAnExecutionNamesItsAction(t *testing.T) {
	t.Parallel()
	rec := running()
	got, err := outbox.Execution(rec, record.Recipe{
		ID: "x", Kind: record.RecipeExecute, Time: at(),
		CallID: record.ExecutionCall("pri_1", 2, record.ActionErasure, 5).String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := events.Execution{
		ExecutionID: "pri_1_2_execute_erasure_5", RequestID: "pri_1", Action: "erasure", Run: 2,
		OrderedAt: at(), Policy: rec.Policy.Public(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("execution (-want +got):\n%s", diff)
	}
}

func TestTheSameRecipeMakesTheSameBytes(t *testing.T) {
	t.Parallel()
	first, err := outbox.Fact(running(), callRecipe(record.RecipeFact))
	if err != nil {
		t.Fatal(err)
	}
	second, err := outbox.Fact(running(), callRecipe(record.RecipeFact))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Data(), second.Data()) || first.ID() != second.ID() {
		t.Error("a repeat differs")
	}
}

func TestARecipeOfAnotherKindIsRefused(t *testing.T) {
	t.Parallel()
	rec := running()
	if _, err := outbox.Fact(rec, callRecipe(record.RecipeCall)); !errors.Is(err, outbox.ErrRecipe) {
		t.Errorf("fact: %v", err)
	}
	if _, err := outbox.Call(rec, callRecipe(record.RecipeFact)); !errors.Is(err, outbox.ErrRecipe) {
		t.Errorf("call: %v", err)
	}
	if _, err := outbox.Execution(rec, callRecipe(record.RecipeCall)); !errors.Is(err, outbox.ErrRecipe) {
		t.Errorf("execution: %v", err)
	}
}
