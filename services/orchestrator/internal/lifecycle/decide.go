package lifecycle

import (
	"slices"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// Decide says what an input does to a request. rec is nil where there is no
// record; it is never changed. The result depends on the arguments alone.
func (ru Rules) Decide(rec *record.Record, in Input, now time.Time) Outcome {
	if rec == nil {
		if in.Command != nil && in.Command.Name == work.Submit {
			return ru.submit(in, now)
		}
		return reject(work.RejectedUnknown, "")
	}
	if slices.Contains(rec.Commands, in.ID) {
		return repeated(rec, in)
	}
	if in.Command != nil && in.Command.Name == work.Submit {
		return reject(work.RejectedExists, rec.Status)
	}
	if rec.DeletedAt != nil {
		return reject(work.RejectedDeleted, rec.Status)
	}
	d := ru.open(rec, in, now)
	switch {
	case in.Command != nil:
		return d.command(in.Command)
	case in.Webhook != nil:
		return d.webhook(in.Webhook)
	case in.Callback != nil:
		return d.callback(in.Callback)
	case in.Execution != nil:
		return d.execution(in.Execution)
	}
	return reject(work.RejectedNotAwaited, rec.Status)
}

// repeated is the answer to an input that was accepted before.
func repeated(rec *record.Record, in Input) Outcome {
	answer := work.Answer{Accepted: true, Status: rec.Status}
	if in.Command != nil && in.Command.Name == work.Resend {
		if i := undelivered(rec, in.Command.CallID); i >= 0 {
			answer.CallID = rec.Undelivered[i].ResentAs
		}
	}
	return Outcome{Answer: answer}
}

// NeedsContext says whether Decide looks at in.Context for this input, so that
// it has to be loaded first.
func NeedsContext(rec *record.Record, in Input) bool {
	switch {
	case in.Command != nil:
		switch in.Command.Name {
		case work.Submit:
			return rec == nil
		case work.Approve, work.Retry, work.Requeue, work.Resubmit:
			return rec != nil && !rec.Status.Final()
		case work.Recount, work.Timeout:
			return rec != nil && rec.Status == record.AwaitingPreApproval
		case work.Resend:
			return rec != nil
		}
	case in.Callback != nil:
		return rec != nil && (in.Callback.Type == events.CallbackEligible || in.Callback.Type == events.CallbackNotEligible)
	}
	return false
}

// AnswersLastWork says whether the input answers the one piece of work in the
// record's unsettled outbox, which then must have been published: it need not
// be published again.
func AnswersLastWork(rec *record.Record, in Input) bool {
	ordered := ""
	for _, r := range rec.Outbox {
		if r.Kind != record.RecipeCall && r.Kind != record.RecipeExecute {
			continue
		}
		if ordered != "" {
			return false
		}
		ordered = r.CallID
	}
	return ordered != "" && ordered == in.CallID()
}

// CallID gives the id of the call or execution that the input answers, "" for
// an input that answers none.
func (in Input) CallID() string {
	switch {
	case in.Webhook != nil:
		return in.Webhook.Data.CallID
	case in.Callback != nil:
		return in.Callback.Data.CallID
	case in.Execution != nil:
		return in.Execution.Data.ExecutionID
	}
	return ""
}

func reject(code string, status record.Status) Outcome {
	return Outcome{Answer: work.Answer{Code: code, Status: status}}
}
