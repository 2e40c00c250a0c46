package lifecycle

import (
	"slices"
	"testing"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestResume(t *testing.T) {
	t.Parallel()
	t.Run("early", func(t *testing.T) {
		t.Parallel()
		l := setup(t)
		call := l.running()
		if a := l.callback(events.CallbackResumed, call, "pri_1.b"); !a.Accepted {
			t.Fatalf("early resume: %+v", a)
		}
		l.refused(l.callback(events.CallbackResumed, call, "pri_1.c"), work.RejectedStatus)
		l.webhook(events.WebhookHalted, events.WebhookData{StagedKey: "pri_1.a"})
		l.want(record.InProcessing, "request.resumed webhook.requested", "three")
		if !slices.Equal(l.rec.Staged, []string{"pri_1.a", "pri_1.b"}) {
			t.Errorf("accepted identities %v", l.rec.Staged)
		}
	})
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		l := setup(t)
		call := l.running()
		l.webhook(events.WebhookHalted, events.WebhookData{})
		l.callback(events.CallbackResumed, call, "")
		l.refused(l.callback(events.CallbackResumed, call, "pri_1.late"), work.RejectedStatus)
		if len(l.rec.Staged) != 0 {
			t.Errorf("a refused resume changed the identity: %v", l.rec.Staged)
		}
	})
	t.Run("by a person", func(t *testing.T) {
		t.Parallel()
		l := setup(t)
		l.running()
		l.refused(l.command(work.Resume), work.RejectedStatus)
		l.webhook(events.WebhookHalted, events.WebhookData{})
		l.command(work.Resume)
		l.want(record.InProcessing, "request.resumed webhook.requested", "three")
	})
	t.Run("against expiry", func(t *testing.T) {
		t.Parallel()
		l := setup(t)
		call := l.running()
		l.webhook(events.WebhookHalted, events.WebhookData{})
		l.callback(events.CallbackExpired, call, "")
		l.want(record.Failed, "request.failed")
		if got := l.rec.Outbox[0].Message; got != MessageExpired {
			t.Errorf("message %q", got)
		}
		l.refused(l.callback(events.CallbackResumed, call, ""), work.RejectedStatus)
	})
	t.Run("of an earlier halt", func(t *testing.T) {
		t.Parallel()
		l := setup(t)
		call := l.running()
		l.webhook(events.WebhookHalted, events.WebhookData{})
		l.callback(events.CallbackResumed, call, "")
		l.webhook(events.WebhookHalted, events.WebhookData{})
		l.want(record.Paused, "request.paused")
		l.refused(l.callback(events.CallbackResumed, call, ""), work.RejectedStatus)
		l.refused(l.callback(events.CallbackExpired, call, ""), work.RejectedNotAwaited)
	})
}
