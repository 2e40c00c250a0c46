package eventstest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/pkg/events"
)

// The ways in which facts go.
func removals() map[string]func(*testing.T, *bed, uint64) {
	return map[string]func(*testing.T, *bed, uint64){
		"a purge":       purge,
		"limits":        limit,
		"single facts":  deleteFacts,
		"a new replica": func(t *testing.T, b *bed, to uint64) { limit(t, b, to); b.restart(t) },
	}
}

// purge removes the facts up to a sequence.
func purge(t *testing.T, b *bed, to uint64) {
	t.Helper()
	if err := eventStream(t, b).Purge(t.Context(), jetstream.WithPurgeSequence(to+1)); err != nil {
		t.Fatal(err)
	}
}

// limit removes the facts up to a sequence as retention does.
func limit(t *testing.T, b *bed, to uint64) {
	t.Helper()
	info, err := eventStream(t, b).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config := info.Config
	config.MaxMsgs = int64(info.State.LastSeq - to)
	if _, err := b.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	config.MaxMsgs = -1
	if _, err := b.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

func deleteFacts(t *testing.T, b *bed, to uint64) {
	t.Helper()
	stream := eventStream(t, b)
	for n := uint64(1); n <= to; n++ {
		if err := stream.DeleteMsg(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
}

func eventStream(t *testing.T, b *bed) jetstream.Stream {
	t.Helper()
	stream, err := b.js.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func wantGap(t *testing.T, err error, from, to uint64) {
	t.Helper()
	var gap *events.GapError
	if !errors.As(err, &gap) || gap.From != from || gap.To != to {
		t.Fatalf("err = %v, want a gap from %d to %d", err, from, to)
	}
}

func TestAGapThatAroseWhileAwayIsTold(t *testing.T) {
	t.Parallel()
	for name, remove := range removals() {
		for _, published := range []int{12, 300} {
			t.Run(fmt.Sprintf("%s, %d facts", name, published), func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				s := events.Subscription{Durable: "audit"}
				first := subscribe(t, b.js, s)
				b.publish(t, "pri_1", 1, 5)
				first.expect(t, "pri_1", 1, 5)
				first.away(t)
				b.publish(t, "pri_1", 6, published)
				remove(t, b, uint64(published-3))

				// It is told each time, until somebody decides.
				for range 2 {
					wantGap(t, subscribe(t, b.js, s).end(t), 6, uint64(published-3))
				}
				gaps := make(chan *events.GapError, 10)
				s.OnGap = func(gap *events.GapError) error { gaps <- gap; return nil }
				second := subscribe(t, b.js, s)
				second.expect(t, "pri_1", published-2, published)
				wantGap(t, <-gaps, 6, uint64(published-3))
				second.away(t)
				// Decided is decided.
				s.OnGap = nil
				third := subscribe(t, b.js, s)
				b.publish(t, "pri_1", published+1, published+1)
				third.expect(t, "pri_1", published+1, published+1)
			})
		}
	}
}

func TestAGapUpToTheEndIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := events.Subscription{Durable: "audit"}
	first := subscribe(t, b.js, s)
	b.publish(t, "pri_1", 1, 5)
	first.expect(t, "pri_1", 1, 5)
	first.away(t)
	b.publish(t, "pri_1", 6, 8)
	purge(t, b, 8)
	wantGap(t, subscribe(t, b.js, s).end(t), 6, 8)
}

func TestWhatWasHandledMayGo(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(*testing.T, *bed, uint64){"a purge": purge, "limits": limit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			s := events.Subscription{Durable: "audit"}
			first := subscribe(t, b.js, s)
			b.publish(t, "pri_1", 1, 100)
			first.expect(t, "pri_1", 1, 100)
			first.away(t)
			b.publish(t, "pri_1", 101, 102)
			remove(t, b, 100)
			second := subscribe(t, b.js, s)
			second.expect(t, "pri_1", 101, 102)
		})
	}
}

func TestANewSubscriptionMissesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish(t, "pri_1", 1, 100)
	purge(t, b, 90)
	subscribe(t, b.js, events.Subscription{Durable: "audit"}).expect(t, "pri_1", 91, 100)
	subscribe(t, b.js, events.Subscription{}).expect(t, "pri_1", 91, 100)
}

// While a handler holds one fact, the ones behind it go.
func TestAGapThatArisesWhileRunningIsTold(t *testing.T) {
	t.Parallel()
	for _, s := range []events.Subscription{{Durable: "audit"}, {}} {
		t.Run("durable "+s.Durable, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			holding, release := make(chan struct{}), make(chan struct{})
			sub := subscribeWith(t, b.js, s, func(e events.Event) error {
				if e.ID() == "pri_1.2" {
					close(holding)
					<-release
				}
				return nil
			})
			b.publish(t, "pri_1", 1, 2)
			<-holding
			b.publish(t, "pri_1", 3, 9)
			purge(t, b, 7)
			close(release)
			sub.expect(t, "pri_1", 1, 2)
			wantGap(t, sub.end(t), 3, 7)
		})
	}
}

// A subscriber that was killed has not written its last mark: the gap may begin
// too early, but it is told.
func TestAGapAfterACrashIsTold(t *testing.T) {
	t.Parallel()
	for name, remove := range removals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			nc, js := testbed.Connect(t, b.server.URL())
			first := subscribe(t, js, events.Subscription{Durable: "audit"})
			b.publish(t, "pri_1", 1, 5)
			first.expect(t, "pri_1", 1, 5)
			nc.Close()
			if err := first.end(t); !errors.Is(err, nats.ErrConnectionClosed) {
				t.Fatal(err)
			}
			b.publish(t, "pri_1", 6, 100)
			remove(t, b, 80)
			err := subscribe(t, b.js, events.Subscription{Durable: "audit"}).end(t)
			var gap *events.GapError
			if !errors.As(err, &gap) || gap.From > 6 || gap.To != 80 {
				t.Errorf("err = %v", err)
			}
		})
	}
}

// The server is away, and retention goes on when it is back.
func TestAGapThatArisesWhileTheServerIsAwayIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sub := subscribe(t, b.js, events.Subscription{})
	b.publish(t, "pri_1", 1, 2)
	sub.expect(t, "pri_1", 1, 2)
	b.server.Close()
	b.server = testbed.StartNATS(t, embedded.NATSOptions{Dir: b.options.Dir}) // at another address
	_, js := testbed.Connect(t, b.server.URL())
	other := &bed{js: js}
	other.publish(t, "pri_1", 3, 9)
	purge(t, other, 6)
	b.server.Close()
	b.server = testbed.StartNATS(t, b.options)
	wantGap(t, sub.end(t), 3, 6)
}

func TestAJumpInTheNumbersOfARequestIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sub := subscribe(t, b.js, events.Subscription{Durable: "audit"})
	b.publish(t, "pri_1", 1, 2)
	b.publish(t, "pri_2", 7, 7) // a request that was not known before
	b.publish(t, "pri_1", 5, 5)
	sub.expect(t, "pri_1", 1, 2)
	sub.expect(t, "pri_2", 7, 7)
	err := sub.end(t)
	wantGap(t, err, 3, 3)
	var gap *events.GapError
	errors.As(err, &gap)
	if gap.RequestID != "pri_1" || gap.FromSequence != 3 || gap.ToSequence != 4 {
		t.Errorf("gap = %+v", gap)
	}
}

func TestOnGapMayRefuse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	refusal := errors.New("no")
	s := events.Subscription{Durable: "audit", OnGap: func(*events.GapError) error { return refusal }}
	sub := subscribe(t, b.js, s)
	b.publish(t, "pri_1", 1, 1)
	b.publish(t, "pri_1", 3, 3)
	sub.expect(t, "pri_1", 1, 1)
	if err := sub.end(t); !errors.Is(err, refusal) {
		t.Errorf("err = %v", err)
	}
}

// Several subscribers of a durable each see only a part, which is no gap.
func TestSharingIsNoGap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := make(chan string, 1000)
	for range 3 {
		_, js := testbed.Connect(t, b.server.URL())
		failed := false
		subscribeWith(t, js, events.Subscription{Durable: "shared"}, func(e events.Event) error {
			if !failed {
				failed = true
				return errors.New("once")
			}
			got <- e.ID()
			return nil
		})
	}
	b.publish(t, "pri_1", 1, 100)
	b.publish(t, "pri_2", 1, 100)
	for range 200 {
		<-got
	}
}

func TestASubscriptionToSomeTypesKnowsNoGaps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := events.Subscription{Durable: "some", Types: []string{events.RequestStarted}}
	first := subscribe(t, b.js, s)
	b.publish(t, "pri_1", 1, 2)
	first.expect(t, "pri_1", 1, 2)
	first.away(t)
	b.publish(t, "pri_1", 3, 9)
	purge(t, b, 7)
	subscribe(t, b.js, s).expect(t, "pri_1", 8, 9)
}
