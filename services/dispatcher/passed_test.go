package dispatcher

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// A server may leave the consumer of a lane behind calls that are still in the
// stream. One that was made and told is taken out; one that nobody was given is
// made.
func TestCallsThatTheirLaneHasPassed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settings.date = 50 * time.Millisecond
	b.settings.DeliveryTimeout = time.Second // so much more than half a minute a call must seem to be passed
	var posts atomic.Int32
	b.connection("con_1", catalog.Secrets{URL: b.receiver(func(w http.ResponseWriter, _ *http.Request) {
		posts.Add(1)
		_, _ = io.WriteString(w, `{"halt": false}`)
	}), Authorization: "s3cret"})
	calls := b.more(b.call("con_1", record.Post, record.OneWay), 3)
	made, passed, other := calls[0], calls[1], calls[2]
	for _, call := range calls {
		b.order(call)
	}
	fact, err := events.New(events.SourceDispatcher, events.WebhookSucceeded, made.CallID+".1.succeeded", made.RequestID, time.Now(),
		events.WebhookData{CallID: made.CallID, Attempt: 1, Outcome: events.OutcomeOK})
	must(t, err)
	must(t, events.Publish(t.Context(), b.js, fact))
	b.expect(events.WebhookSucceeded, events.OutcomeOK)
	lane, err := b.js.CreateConsumer(t.Context(), events.StreamWork, jetstream.ConsumerConfig{
		Durable: topology.LaneConsumer("con_1"), FilterSubject: events.CallSubject("con_1", other.RequestID), AckPolicy: jetstream.AckExplicitPolicy,
	})
	must(t, err)
	msg, err := lane.Next(jetstream.FetchMaxWait(patience))
	must(t, err)
	must(t, msg.DoubleAck(t.Context()))

	b.start() // and with it the lane has its filter
	if f := b.expect(events.WebhookSucceeded, events.OutcomeOK); f.data.CallID != passed.CallID {
		t.Errorf("%s was made, want %s", f.data.CallID, passed.CallID)
	}
	b.settled()
	if n := posts.Load(); n != 1 {
		t.Errorf("%d calls were made", n)
	}
}
