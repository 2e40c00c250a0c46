package dispatcher

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// takeAndGiveBack takes the call that waits for a connection so often, and gives
// it back.
func (b *bundle) takeAndGiveBack(connectionID string, times int) {
	b.t.Helper()
	consumer, err := b.js.CreateConsumer(b.t.Context(), events.StreamWork, laneConsumer(connectionID))
	must(b.t, err)
	for range times {
		msg, err := consumer.Next(jetstream.FetchMaxWait(patience))
		must(b.t, err)
		must(b.t, msg.Nak())
	}
}

// A message may be delivered often without a call having been made: NATS came
// back older, an acknowledgement was late, replicas were stopped. The call is
// made all the same, and only one that is given up twice is not.
func TestDeliveriesWithoutAnEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var calls atomic.Int32
	url := b.receiver(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = w.Write([]byte(`{}`))
	})
	b.connection("con_1", catalog.Secrets{URL: url, Authorization: "s3cret"})
	made := b.call("con_1", record.Pre, record.TwoWay)
	b.order(made)
	b.takeAndGiveBack("con_1", 25)
	b.start()
	if f := b.expect(events.WebhookSucceeded, events.OutcomeOK); f.data.CallID != made.CallID || f.data.Attempt != 1 || calls.Load() != 1 {
		t.Errorf("%s after %d attempts, %d calls", f.data.CallID, f.data.Attempt, calls.Load())
	}
	b.settled()
}

// The call of a marked message is given up.
func TestUndeliverableWork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var calls atomic.Int32
	b.connection("con_1", catalog.Secrets{URL: b.receiver(func(http.ResponseWriter, *http.Request) { calls.Add(1) }), Authorization: "s3cret"})
	call := b.call("con_1", record.Pre, record.TwoWay)
	call.Abandoned = 1
	b.order(call)
	b.takeAndGiveBack("con_1", 10)
	b.start()
	f := b.expect(events.WebhookFailed, events.OutcomePoison)
	if calls.Load() != 0 || f.ID() != call.CallID+".1.failed" {
		t.Errorf("%d calls, %s", calls.Load(), f.ID())
	}
	b.settled()
}

// While a call is being made its message comes again and again, since the server
// takes it for overdue. It is made once.
func TestOverdueWhileTheCallIsMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	slow := newBlocking()
	b.connection("con_1", catalog.Secrets{URL: b.receiver(slow.ServeHTTP), Authorization: "s3cret"})
	b.start()
	b.order(b.call("con_1", record.Pre, record.TwoWay))
	<-slow.begun
	consumer, err := b.js.Consumer(t.Context(), events.StreamWork, laneConsumer("con_1").Durable)
	must(t, err)
	patient := consumer.CachedInfo().Config
	hasty := patient
	hasty.AckWait = 50 * time.Millisecond
	_, err = b.js.UpdateConsumer(t.Context(), events.StreamWork, hasty)
	must(t, err)
	b.until("the message has come again and again", func() bool {
		info, err := consumer.Info(t.Context())
		must(t, err)
		return info.Delivered.Consumer > 4
	})
	// An acknowledgement takes its time on a busy machine.
	_, err = b.js.UpdateConsumer(t.Context(), events.StreamWork, patient)
	must(t, err)
	close(slow.release)
	b.expect(events.WebhookSucceeded, events.OutcomeOK)
	b.settled()
	if again := len(slow.begun); again != 0 {
		t.Errorf("the call was made %d times more", again)
	}
}
