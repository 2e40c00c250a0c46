package dispatcher

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// The time of an attempt comes while the stream takes no more messages, so that
// the server cannot move it to its lane, and leaves it where it is.
func TestOverdueAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settings.overdue = 2 * time.Second
	b.connection("con_1", catalog.Secrets{URL: b.receiver(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"halt": false}`)
	}), Authorization: "s3cret"})
	call := b.call("con_1", record.Pre, record.TwoWay)
	call.Attempt = 2
	data, err := json.Marshal(call)
	must(t, err)
	at := time.Now().Add(3 * time.Second)
	_, err = b.js.PublishMsg(t.Context(), &nats.Msg{Subject: events.TimerSubject(call.CallID, 2), Data: data},
		jetstream.WithScheduleAt(at), jetstream.WithScheduleTarget(events.CallSubject("con_1", call.RequestID)))
	must(t, err)
	stream, err := b.js.Stream(t.Context(), events.StreamWork)
	must(t, err)
	config := stream.CachedInfo().Config
	tight := config
	tight.MaxMsgSize = 1
	_, err = b.js.UpdateStream(t.Context(), tight)
	must(t, err)
	b.until("its time has passed", func() bool { return time.Since(at) > b.settings.overdue+time.Second })
	_, err = b.js.UpdateStream(t.Context(), config)
	must(t, err)

	b.start()
	if f := b.expect(events.WebhookSucceeded, events.OutcomeOK); f.data.Attempt != 2 {
		t.Errorf("attempt %d succeeded", f.data.Attempt)
	}
	b.settled()
}
