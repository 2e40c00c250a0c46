package halt

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestHaltIsKeptUntilItIsResumed(t *testing.T) {
	t.Parallel()
	for _, end := range []string{events.RequestResumed, events.RequestCanceled, events.RequestFailed, events.RequestResubmitted, events.RequestDeleted} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			changes := b.keys()
			until := time.Now().Add(time.Hour).UTC()
			b.put(paused(until))
			b.publish(events.RequestPaused, 1, events.RequestData{CallID: callID, Until: &until})
			if got := receive(t, changes); got != "+"+callID {
				t.Fatalf("first change: %s", got)
			}
			halts, err := readAll(t.Context(), b.halted)
			if err != nil || len(halts) != 1 {
				t.Fatalf("list: %v, %v", halts, err)
			}
			if h := halts[0]; h.RequestID != requestID || h.WebhookID != webhookID || h.WebhookKey != "prep" || h.WebhookName != "Prep" || !h.Until.Equal(until) || h.Since.IsZero() {
				t.Fatalf("halt: %+v", h)
			}
			b.put(record.Record{ID: requestID, Status: record.InProcessing})
			b.publish(end, 2, events.RequestData{CallID: callID})
			if got := receive(t, changes); got != "-"+callID {
				t.Fatalf("second change: %s", got)
			}
			if left := b.list(); len(left) != 0 {
				t.Fatalf("left: %v", left)
			}
		})
	}
}

// What the record does not confirm is no halt.
func TestOnlyTheRecordMakesAHalt(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour).UTC()
	resumed := paused(until)
	resumed.Status, resumed.Wait = record.InProcessing, nil
	other := paused(until)
	other.Wait.CallID = record.WebhookCall(requestID, 1, record.Pre, webhookID, 4).String()
	early := paused(until)
	early.Wait.Kind = record.WaitCall
	tests := map[string]*record.Record{"no record": nil, "resumed": &resumed, "paused on another call": &other, "call in flight": &early}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if r != nil {
				b.put(*r)
			}
			b.publish(events.RequestPaused, 1, events.RequestData{CallID: callID, Until: &until})
			b.publish(events.RequestFailed, 2, events.RequestData{}) // one without a call changes nothing
			b.settled()
			if left := b.list(); len(left) != 0 {
				t.Fatalf("kept: %v", left)
			}
		})
	}
}

// A repeated fact leaves the halt as it is, and a message that cannot be read
// does not hold up the others.
func TestRepeatsAndRubbish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	changes := b.keys()
	until := time.Now().Add(time.Hour).UTC()
	b.put(paused(until))
	if _, err := b.js.Publish(t.Context(), "dsr.event.request.paused."+requestID, []byte("rubbish")); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		b.publish(events.RequestPaused, n, events.RequestData{CallID: callID, Until: &until})
	}
	b.publish(events.RequestResumed, 9, events.RequestData{CallID: "not a call id, and not a key"})
	if _, err := b.js.Publish(t.Context(), b.halted.Subject("rubbish"), nil); err != nil {
		t.Fatal(err)
	}
	b.settled()
	if got := receive(t, changes); got != "+"+callID && got != "+rubbish" {
		t.Fatalf("change: %s", got)
	}
	entry, err := b.halted.Get(t.Context(), callID)
	if err != nil || len(entry.Value) == 0 {
		t.Fatalf("the halt: %v", err)
	}
}

// The end of a halt may be handled before its begin, by another replica.
func TestEndBeforeBegin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	until := time.Now().Add(time.Hour).UTC()
	b.put(paused(until))
	if err := b.end(t.Context(), callID); err != nil {
		t.Fatal(err)
	}
	e, err := events.New(events.SourceOrchestrator, events.RequestPaused, "x", requestID, time.Now(), events.RequestData{CallID: callID})
	if err != nil {
		t.Fatal(err)
	}
	b.put(record.Record{ID: requestID, Status: record.InProcessing})
	if err := b.begin(t.Context(), e, callID); err != nil {
		t.Fatal(err)
	}
	if left := b.list(); len(left) != 0 {
		t.Fatalf("kept: %v", left)
	}
}

// looks gives one record after the other: what the keeper sees when it looks
// several times.
type looks []record.Record

func (l *looks) Get(context.Context, string) (topology.Entry, error) {
	value, err := json.Marshal((*l)[0])
	*l = (*l)[1:]
	return topology.Entry{Value: value}, err
}

// The request is resumed after the record was read and before the key is made:
// the end of the halt has found no key, so the second look takes it away.
func TestEndWhileItBegins(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	b := prepare(t, js)
	changes := b.keys()
	b.requests = &looks{paused(time.Now().Add(time.Hour)), {ID: requestID, Status: record.InProcessing}}
	e, err := events.New(events.SourceOrchestrator, events.RequestPaused, "x", requestID, time.Now(), events.RequestData{CallID: callID})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.begin(t.Context(), e, callID); err != nil {
		t.Fatal(err)
	}
	if first, second := receive(t, changes), receive(t, changes); first != "+"+callID || second != "-"+callID {
		t.Fatalf("changes: %s %s", first, second)
	}
}
