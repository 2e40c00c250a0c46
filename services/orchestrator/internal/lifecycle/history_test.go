package lifecycle

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"pgregory.net/rapid"
)

// chooser makes the choices of a random history: rapid's, which shrink, or
// those of a seeded generator, which are fast.
type chooser interface {
	// choose gives a number from 0 to n-1.
	choose(what string, n int) int
}

type rapidChooser struct{ t *rapid.T }

func (c rapidChooser) choose(what string, n int) int {
	return rapid.IntRange(0, n-1).Draw(c.t, what)
}

type seededChooser struct{ r *rand.Rand }

func (c seededChooser) choose(_ string, n int) int { return c.r.IntN(n) }

// failer is what a history needs of a test.
type failer interface {
	Fatalf(format string, args ...any)
}

// history is one random life of a request, with a model of what was called
// beside it.
type history struct {
	t     failer
	c     chooser
	rules Rules
	ctx   Context
	now   time.Time
	rec   *record.Record
	ids   int

	calls    []record.Recipe // calls and executions in order
	ended    map[string]bool // calls whose webhook has ended or released the request
	outputs  map[string]bool // ids of outputs
	resent   map[string]bool // undelivered calls that were made once more
	earlier  []Input
	sequence uint64
}

func newHistory(t failer, c chooser) *history {
	h := &history{
		t: t, c: c, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		ended: map[string]bool{}, outputs: map[string]bool{}, resent: map[string]bool{},
		rules: Rules{
			DeliveryMaxAge: time.Hour, DelayTimeout: 2 * time.Hour, ReleaseAfter: 30 * time.Second,
			ExecutionTimeout: 3 * time.Hour, Epoch: "e1", External: c.choose("external", 2) == 1,
		},
	}
	action := []string{record.ActionAccess, record.ActionErasure, record.ActionConsent}[c.choose("action", 3)]
	h.ctx = Context{
		ManualApproval: c.choose("manual", 2) == 1,
		Policy: &catalog.Policy{
			Policy: record.Policy{ID: "pol_p", Key: "p", Rules: []record.Rule{{Key: "r", ActionType: action}}},
			Pre:    h.hooks("pre", c.choose("pre", 4)),
			Post:   h.hooks("post", c.choose("post", 3)),
		},
	}
	if c.choose("with pre-approval", 2) == 1 {
		h.ctx.PreApproval = h.hooks("approval", 1+c.choose("repliers", 2))
	}
	return h
}

func (h *history) hooks(name string, n int) []record.Webhook {
	hooks := make([]record.Webhook, n)
	for i := range hooks {
		direction := record.TwoWay
		if name != "approval" && h.c.choose("direction", 2) == 1 {
			direction = record.OneWay
		}
		hooks[i] = record.Webhook{ID: fmt.Sprintf("pol_%s%d", name, i), Key: fmt.Sprintf("%s%d", name, i), Direction: direction}
	}
	return hooks
}

func (h *history) id() string { h.ids++; return fmt.Sprintf("in%d", h.ids) }

func (h *history) command(name, callID string) Input {
	c := &work.Command{ID: h.id(), Name: name, RequestID: "pri_1", CallID: callID, Submission: &record.Submission{PolicyKey: "p", RequestedAt: h.now}}
	return Input{ID: c.ID, Command: c, Context: h.ctx}
}

// input makes up the next input: any command, or any answer to any call that
// was ever ordered, or one that came before.
func (h *history) input() Input {
	kind := h.c.choose("kind", 10)
	if kind == 0 && len(h.earlier) > 0 {
		return h.earlier[h.c.choose("earlier", len(h.earlier))]
	}
	if kind < 3 || len(h.calls) == 0 {
		names := []string{
			work.Approve, work.Deny, work.Cancel, work.Resume, work.Retry, work.Retry,
			work.Requeue, work.Resubmit, work.Submit, work.SoftDelete, work.Approve, work.Approve,
			work.Resend, work.Resend, work.Resend, work.Recount,
		}
		in := h.command(names[h.c.choose("command", len(names))], "")
		in.Context.IdentityGone = h.c.choose("identity gone", 20) == 0
		switch in.Command.Name {
		case work.Resend:
			if len(h.calls) > 0 {
				in.Command.CallID = h.calls[h.c.choose("resend", len(h.calls))].CallID
			}
		case work.Recount:
			in.Context.PreApproval = in.Context.PreApproval[:h.c.choose("left", len(in.Context.PreApproval)+1)]
		}
		return in
	}
	if kind == 3 && h.rec.Wait != nil {
		h.now = h.rec.Wait.Until.Add(time.Duration(h.c.choose("early", 2)-1) * time.Second)
		return h.command(work.Timeout, h.rec.Wait.CallID)
	}
	// Mostly the last call, so that histories get on.
	call := h.calls[len(h.calls)-1]
	if h.c.choose("which", 4) == 0 {
		call = h.calls[h.c.choose("call", len(h.calls))]
	}
	return h.answer(call)
}

func (h *history) answer(call record.Recipe) Input {
	if call.Kind == record.RecipeExecute {
		types := []string{events.ExecutionCompleted, events.ExecutionCompleted, events.ExecutionFailed, events.ExecutionProgressed}
		return Input{ID: h.id(), Execution: &ExecutionFact{
			Type: types[h.c.choose("execution", len(types))], Data: events.ExecutionData{ExecutionID: call.CallID},
		}}
	}
	types := []string{
		events.WebhookSucceeded, events.WebhookSucceeded, events.WebhookHalted, events.WebhookFailed,
		events.WebhookAttempted, events.WebhookSkipped, events.WebhookUndelivered,
		events.CallbackResumed, events.CallbackResumed, events.CallbackExpired,
		events.CallbackEligible, events.CallbackEligible, events.CallbackNotEligible,
	}
	eventType := types[h.c.choose("answer", len(types))]
	staged := ""
	if h.c.choose("derived", 2) == 1 {
		staged = "pri_1." + h.id()
	}
	if eventType == events.CallbackResumed || eventType == events.CallbackExpired ||
		eventType == events.CallbackEligible || eventType == events.CallbackNotEligible {
		return Input{ID: h.id(), Context: h.ctx, Callback: &CallbackFact{
			Type: eventType, Data: events.CallbackData{CallID: call.CallID, StagedKey: staged},
		}}
	}
	return Input{ID: h.id(), Webhook: &WebhookFact{
		Type: eventType, Data: events.WebhookData{CallID: call.CallID, Webhook: events.Webhook(*call.Webhook), StagedKey: staged},
	}}
}

// step applies one input and checks everything that must hold.
func (h *history) step(in Input) {
	before := h.rec
	text := h.snapshot(before)
	out := h.rules.Decide(before, in, h.now)
	if h.snapshot(before) != text {
		h.t.Fatalf("Decide changed the record it was given: %s", show(in))
	}
	if out.Next == nil {
		return
	}
	h.earlier = append(h.earlier, in)
	h.note(before, in, out.Next)
	h.checkTransition(before, in, out.Next)
	h.checkOutputs(out.Next)
	h.checkWait(out.Next)
	if again := h.rules.Decide(out.Next, in, h.now); again.Next != nil {
		h.t.Fatalf("the same input twice changed the record twice: %s", show(in))
	} else if (in.Command != nil || in.Callback != nil) && !again.Answer.Accepted {
		h.t.Fatalf("the repeat of an accepted input was refused (%s): %s", again.Answer.Code, show(in))
	}
	h.rec = out.Next
}

// snapshot is the text of a record, by which a change in place is found. It is
// made in rapid's histories only: it costs more than everything else.
func (h *history) snapshot(rec *record.Record) string {
	if _, shrinks := h.c.(rapidChooser); !shrinks {
		return ""
	}
	return show(rec)
}

// note keeps the model of which webhooks have ended.
func (h *history) note(before *record.Record, in Input, next *record.Record) {
	if before == nil || before.Wait == nil {
		return
	}
	wait := before.Wait
	moved := next.Wait == nil || next.Wait.CallID != wait.CallID
	switch {
	case wait.Kind == record.WaitRelease && moved:
		released := in.Webhook != nil || in.Command != nil && in.Command.Name == work.Timeout
		h.ended[wait.CallID] = h.ended[wait.CallID] || released
	case wait.Kind == record.WaitCall && in.Webhook != nil:
		if in.Webhook.Type == events.WebhookSucceeded || in.Webhook.Type == events.WebhookHalted && next.Status != record.Paused {
			h.ended[wait.CallID] = true
		}
	case wait.Kind == record.WaitHalt && next.Status != record.Failed:
		resumed := in.Callback != nil && in.Callback.Type == events.CallbackResumed ||
			in.Command != nil && in.Command.Name == work.Resume
		h.ended[wait.CallID] = h.ended[wait.CallID] || resumed
	}
}

var legal = map[record.Status][]record.Status{
	record.Pending:                {record.Pending, record.InProcessing, record.Denied, record.Canceled, record.AwaitingPreApproval, record.PreApprovalNotEligible, record.Complete, record.Failed},
	record.AwaitingPreApproval:    {record.AwaitingPreApproval, record.Pending, record.InProcessing, record.Denied, record.Canceled, record.PreApprovalNotEligible, record.Complete, record.Failed},
	record.PreApprovalNotEligible: {record.PreApprovalNotEligible, record.Pending, record.AwaitingPreApproval, record.InProcessing, record.Denied, record.Canceled, record.Complete, record.Failed},
	record.InProcessing:           {record.InProcessing, record.Paused, record.Complete, record.Failed, record.Canceled, record.Pending, record.AwaitingPreApproval},
	record.Paused:                 {record.Paused, record.InProcessing, record.Complete, record.Failed, record.Canceled, record.Pending, record.AwaitingPreApproval},
	record.Failed:                 {record.Failed, record.InProcessing, record.Complete, record.Pending, record.AwaitingPreApproval},
	record.Complete:               {record.Complete}, // where a one_way call is sent again
}

func (h *history) checkTransition(before *record.Record, in Input, next *record.Record) {
	if before == nil {
		return
	}
	if next.Revision != before.Revision+1 {
		h.t.Fatalf("revision went from %d to %d", before.Revision, next.Revision)
	}
	deleted := next.DeletedAt != nil && before.DeletedAt == nil && next.Status == before.Status
	if !deleted && !slices.Contains(legal[before.Status], next.Status) {
		h.t.Fatalf("%s → %s by %s", before.Status, next.Status, show(in))
	}
	if (before.Status == record.Complete || in.Command != nil && in.Command.Name == work.Resend) && !deleted {
		h.checkResend(before, in, next)
	}
	if before.DeletedAt != nil {
		h.t.Fatalf("a deleted request was changed by %s", show(in))
	}
	if len(next.Staged) > len(before.Staged)+2 {
		h.t.Fatalf("one input brought %d identities", len(next.Staged)-len(before.Staged))
	}
}

// checkResend: what happens to a request that has ended, or is not concerned, is
// a call that is not waited for, of a webhook that was not reached, once.
func (h *history) checkResend(before *record.Record, in Input, next *record.Record) {
	if next.Status != before.Status || show(next.Wait) != show(before.Wait) || next.Run.Index != before.Run.Index || next.Run.Step != before.Run.Step {
		h.t.Fatalf("the run was changed by %s", show(in))
	}
	if in.Command == nil {
		return // it was noted that the call was not delivered
	}
	i := undelivered(before, in.Command.CallID)
	if i < 0 || before.Undelivered[i].ResentAs != "" || before.Undelivered[i].Webhook.Direction != record.OneWay {
		h.t.Fatalf("sent again, but not undelivered: %s", show(in))
	}
	if h.resent[in.Command.CallID] {
		h.t.Fatalf("%s was sent again twice", in.Command.CallID)
	}
	h.resent[in.Command.CallID] = true
	if call := next.Outbox[len(next.Outbox)-1]; len(next.Outbox) != 2 || call.Kind != record.RecipeCall ||
		call.CallID == in.Command.CallID || call.CallID != next.Undelivered[i].ResentAs {
		h.t.Fatalf("it was ordered as %s", show(next.Outbox))
	}
}

func (h *history) checkOutputs(next *record.Record) {
	for _, r := range next.Outbox {
		if h.outputs[r.ID] {
			h.t.Fatalf("the id %s was given twice", r.ID)
		}
		h.outputs[r.ID] = true
		switch r.Kind {
		case record.RecipeFact:
			h.sequence++
			if r.Sequence != h.sequence {
				h.t.Fatalf("fact %s has sequence %d, not %d", r.Type, r.Sequence, h.sequence)
			}
		case record.RecipeCall:
			if r.ResendOf == "" {
				h.checkCall(next, r)
			}
			h.calls = append(h.calls, r)
		case record.RecipeExecute:
			h.calls = append(h.calls, r)
		}
	}
}

func (h *history) checkCall(next *record.Record, r record.Recipe) {
	if r.Webhook.Direction == record.TwoWay && (next.Status.Ended() || next.Status == record.Paused) {
		h.t.Fatalf("a two_way call was ordered in status %s", next.Status)
	}
	if r.Phase == record.PreApproval {
		return
	}
	last := map[string]string{}
	for _, c := range h.calls {
		if id, err := record.ParseCallID(c.CallID); err != nil {
			h.t.Fatalf("%v", err)
		} else if id.Run == next.Run.Number && c.Phase == r.Phase && c.ResendOf == "" {
			last[c.Webhook.ID] = c.CallID
		}
	}
	for _, hook := range next.Run.Webhooks(r.Phase) {
		if hook.ID == r.Webhook.ID {
			return
		}
		if !h.ended[last[hook.ID]] {
			h.t.Fatalf("%s was called before %s (%s) had ended", r.Webhook.Key, hook.Key, last[hook.ID])
		}
	}
}

func (h *history) checkWait(next *record.Record) {
	waits := next.DeletedAt == nil && (next.Status == record.AwaitingPreApproval || next.Status == record.InProcessing || next.Status == record.Paused)
	switch {
	case waits && (next.Wait == nil || next.Wait.Until.IsZero()):
		h.t.Fatalf("status %s without a wait and its deadline", next.Status)
	case !waits && next.Wait != nil:
		h.t.Fatalf("status %s waits for %s", next.Status, next.Wait.CallID)
	case next.Status == record.Paused && next.Wait != nil && next.Wait.Kind != record.WaitHalt:
		h.t.Fatalf("paused, but waiting for a %s", next.Wait.Kind)
	case next.Status == record.Approved:
		h.t.Fatalf("rests in approved")
	}
}

// finish gives the request all its answers; it must end.
func (h *history) finish() {
	for range 100 {
		switch {
		case h.rec.Status.Ended() || h.rec.DeletedAt != nil:
			return
		case h.rec.Wait == nil:
			h.step(h.command(work.Approve, ""))
		case h.rec.Wait.Kind == record.WaitHalt:
			h.step(Input{ID: h.id(), Callback: &CallbackFact{Type: events.CallbackResumed, Data: events.CallbackData{CallID: h.rec.Wait.CallID}}})
		case h.rec.Wait.Kind == record.WaitExecution:
			h.step(Input{ID: h.id(), Execution: &ExecutionFact{Type: events.ExecutionCompleted, Data: events.ExecutionData{ExecutionID: h.rec.Wait.CallID}}})
		case h.rec.Wait.Kind == record.WaitPreApproval:
			h.now = h.rec.Wait.Until
			h.step(h.command(work.Timeout, h.rec.Wait.CallID))
		default:
			h.step(Input{ID: h.id(), Webhook: &WebhookFact{Type: events.WebhookSucceeded, Data: events.WebhookData{CallID: h.rec.Wait.CallID}}})
		}
	}
	h.t.Fatalf("all answers were given, and the request is still %s, waiting for %v", h.rec.Status, h.rec.Wait)
}

func (h *history) play() {
	h.step(h.command(work.Submit, ""))
	for range 4 + h.c.choose("length", 16) {
		h.now = h.now.Add(time.Second)
		h.step(h.input())
	}
	h.finish()
}

func show(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// TestHistoriesRapid shrinks what it finds to the shortest history.
func TestHistoriesRapid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) { newHistory(rt, rapidChooser{rt}).play() })
}

type seedFailer struct {
	testing.TB
	seed uint64
}

func (f seedFailer) Fatalf(format string, args ...any) {
	f.Helper()
	f.TB.Fatalf("seed %d: "+format, append([]any{f.seed}, args...)...)
}

// TestHistoriesMany plays 100 000 histories; a failure names its seed.
func TestHistoriesMany(t *testing.T) {
	t.Parallel()
	const histories, groups = 100_000, 4
	for g := range uint64(groups) {
		t.Run(fmt.Sprint("group", g), func(t *testing.T) {
			t.Parallel()
			for seed := g * histories / groups; seed < (g+1)*histories/groups; seed++ {
				newHistory(seedFailer{t, seed}, seededChooser{rand.New(rand.NewPCG(seed, 1))}).play()
			}
		})
	}
}
