package transition_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// TestTimeoutsOfWhatCannotBeReadDoNotGather: the sweep tells of an overdue wait
// every minute, each time under another id. Of a record that nobody can read
// none is ever applied; a thousand of them, after a day, would be all that the
// consumer of commands may have in hand.
func TestTimeoutsOfWhatCannotBeReadDoNotGather(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.policy(nil, nil)
	_, err := b.requests.Put(t.Context(), "pri_bad", []byte(`{"id":"pri_bad","revision":1,"status":{}}`), 0)
	must(t, err)
	const told = 3
	for i := range told {
		b.send(work.Command{ID: fmt.Sprint("t", i), Name: work.Timeout, RequestID: "pri_bad", CallID: "c"})
	}
	b.refuse(told, 20)
	b.run()
	if a := b.submit("pri_1"); !a.Accepted {
		t.Errorf("another request: %+v", a)
	}
	stream, err := b.js.Stream(t.Context(), events.StreamWork)
	must(t, err)
	deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		info, err := stream.Info(deadline)
		if err != nil {
			t.Fatalf("commands are left: %v", err)
		}
		if info.State.Msgs == 0 {
			break
		}
	}
	if entry, err := b.requests.Get(t.Context(), "pri_bad"); err != nil || entry.Revision != 1 {
		t.Errorf("the record: %+v, %v", entry, err)
	}
}

// refuse takes the given number of commands as the loop would, and gives each
// back so many times at least.
func (b *bench) refuse(commands int, times uint64) {
	b.t.Helper()
	consumer, err := b.js.CreateOrUpdateConsumer(b.t.Context(), events.StreamWork, jetstream.ConsumerConfig{
		Durable: topology.ConsumerCommands, FilterSubject: events.CommandFilter, AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1,
	})
	must(b.t, err)
	for often := map[uint64]bool{}; len(often) < commands; {
		msg, err := consumer.Next(jetstream.FetchMaxWait(30 * time.Second))
		must(b.t, err)
		meta, err := msg.Metadata()
		must(b.t, err)
		if meta.NumDelivered >= times {
			often[meta.Sequence.Stream] = true
		}
		must(b.t, msg.Nak())
	}
}
