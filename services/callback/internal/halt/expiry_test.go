package halt

import (
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// The key's life ends with the halt; the marker becomes a fact, once.
func TestExpiryBecomesAFact(t *testing.T) {
	t.Parallel()
	b := setup(t)
	until := time.Now().Add(time.Second).UTC()
	b.put(paused(until))
	b.publish(events.RequestPaused, 1, events.RequestData{CallID: callID, Until: &until})
	e := receive(t, b.expired)
	checkExpired(t, e)
	if time.Now().Before(until) {
		t.Fatal("it expired before its time")
	}
}

// kept puts a request that is halted, and the key that is kept of it, which
// ends in a moment: the keeper may have been as slow as it likes.
func (b *bundle) kept() {
	b.t.Helper()
	b.put(paused(time.Now().Add(time.Hour).UTC()))
	if _, err := b.halted.Create(b.t.Context(), callID, []byte(`{}`), time.Second); err != nil {
		b.t.Fatal(err)
	}
}

func TestExpiryWhileTheServiceWasDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settled()
	b.stop()
	changes := b.keys()
	b.kept()
	for _, want := range []string{"+" + callID, "x" + callID} {
		if got := receive(t, changes); got != want {
			t.Fatalf("change: %s, want %s", got, want)
		}
	}
	if len(b.expired) != 0 {
		t.Fatal("a fact came though the service was down")
	}
	b.start()
	checkExpired(t, receive(t, b.expired))
}

func TestExpiryAfterARestartOfNATS(t *testing.T) {
	t.Parallel()
	options := embedded.NATSOptions{Dir: t.TempDir(), Addr: testbed.FreeAddr(t)}
	server := testbed.StartNATS(t, options)
	_, js := testbed.Connect(t, server.URL())
	b := prepare(t, js)
	b.start()
	b.settled()
	b.kept()
	server.Close()
	testbed.StartNATS(t, options)
	checkExpired(t, receive(t, b.expired))
}

// A key that ends after its halt tells nothing; one whose record is gone does.
func TestExpiryOfWhatIsOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resumed, lost := callID, record.WebhookCall("pri_lost", 1, record.Pre, webhookID, 1).String()
	b.put(record.Record{ID: requestID, Status: record.InProcessing})
	for i, call := range []string{resumed, lost} {
		if _, err := b.halted.Create(t.Context(), call, []byte(`{}`), time.Duration(i+1)*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if e := receive(t, b.expired); e.ID() != lost+".expired" {
		t.Fatalf("fact: %v", e)
	}
}

// A halt that is found only after its time was over expires at once.
func TestHaltFoundTooLate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	until := time.Now().Add(-time.Minute).UTC()
	b.put(paused(until))
	b.publish(events.RequestPaused, 1, events.RequestData{CallID: callID, Until: &until})
	checkExpired(t, receive(t, b.expired))
	if left := b.list(); len(left) != 0 {
		t.Fatalf("left: %v", left)
	}
}
