package lifecycle

import (
	"slices"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// undeliveredAtMost is how many undelivered calls a record remembers: more than
// two runs of the longest lists of webhooks have. The oldest are forgotten.
const undeliveredAtMost = 200

// noteUndelivered remembers a one_way call that did not reach its receiver: one
// that was undelivered, or one that was sent again and was skipped, since the
// connection was disabled meanwhile. What was noted before stays as it is, also
// where it was sent again meanwhile; for a request that was denied or canceled
// nothing is called any more.
func (d *draft) noteUndelivered(f *WebhookFact) bool {
	missed := f.Type == events.WebhookUndelivered || f.Type == events.WebhookSkipped && isResend(d.rec, f.Data.CallID)
	if !missed || d.rec.Status == record.Denied || d.rec.Status == record.Canceled {
		return false
	}
	id, err := record.ParseCallID(f.Data.CallID)
	hook := record.Webhook(f.Data.Webhook)
	ours := err == nil && id.RequestID == d.rec.ID && id.Run <= d.rec.Run.Number && id.Target == hook.ID &&
		hook.Direction == record.OneWay
	phase := id.WebhookPhase()
	if !ours || phase != record.Pre && phase != record.Post || undelivered(d.rec, f.Data.CallID) >= 0 {
		return false
	}
	d.rec.Undelivered = append(d.rec.Undelivered, record.Undelivered{CallID: f.Data.CallID, Webhook: hook})
	if extra := len(d.rec.Undelivered) - undeliveredAtMost; extra > 0 {
		d.rec.Undelivered = slices.Clone(d.rec.Undelivered[extra:])
	}
	return true
}

// undelivered finds a call among those that were not delivered; -1 for none.
func undelivered(rec *record.Record, callID string) int {
	return slices.IndexFunc(rec.Undelivered, func(u record.Undelivered) bool { return u.CallID == callID })
}

// isResend says whether a call was made in place of one that was not delivered.
func isResend(rec *record.Record, callID string) bool {
	return slices.ContainsFunc(rec.Undelivered, func(u record.Undelivered) bool { return callID != "" && u.ResentAs == callID })
}

// resend makes an undelivered one_way call once more: a new call, with a new id,
// in the present run. Nothing waits for it, and the life of the identity is not
// prolonged by it.
func (d *draft) resend(callID string) Outcome {
	i := undelivered(d.rec, callID)
	switch {
	case d.rec.Status == record.Denied || d.rec.Status == record.Canceled:
		return d.refuse(work.RejectedStatus)
	case i < 0:
		return d.refuse(work.RejectedCall)
	case d.rec.Undelivered[i].ResentAs != "":
		return d.refuse(work.RejectedResent)
	case d.in.Context.IdentityGone:
		return d.refuse(work.RejectedIdentity)
	}
	phase := record.Post
	if id, err := record.ParseCallID(callID); err == nil {
		phase = id.WebhookPhase()
	}
	again := d.callInPlaceOf(callID, phase, d.rec.Undelivered[i].Webhook, d.now.Add(d.rules.DeliveryMaxAge))
	d.rec.Undelivered[i].ResentAs = again
	out := d.accept()
	out.Answer.CallID = again
	return out
}
