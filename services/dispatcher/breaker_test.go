package dispatcher

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// outage is a receiver that can be taken down, and counts what it gets.
type outage struct {
	down  atomic.Bool
	calls atomic.Int64
	mu    sync.Mutex
	tries map[string]int
}

func (o *outage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	o.calls.Add(1)
	o.mu.Lock()
	if o.tries == nil {
		o.tries = map[string]int{}
	}
	o.tries[r.Header.Get("webhook-id")]++
	o.mu.Unlock()
	if o.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, `{"halt": false}`)
}

// An outage costs the calls that were in flight, and those that try whether it
// is over, an attempt each; the others wait and lose none.
func TestOutageUsesUpNoAttempts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settings.coolDown = 300 * time.Millisecond
	b.settings.DeliveryMaxAttempts = 5
	var receiver outage
	receiver.down.Store(true)
	url := b.receiver(receiver.ServeHTTP)
	b.connection("con_1", catalog.Secrets{URL: url, Authorization: "s3cret"})
	b.connection("con_2", catalog.Secrets{URL: b.receiver(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{}`)
	}), Authorization: "s3cret"})
	b.start()
	const waiting = 40
	for _, call := range b.more(b.call("con_1", record.Pre, record.TwoWay), waiting) {
		b.order(call)
	}
	// Some trials fail; meanwhile another lane goes on.
	b.until("the receiver was tried again", func() bool { return receiver.calls.Load() >= 12 })
	b.order(b.call("con_2", record.Pre, record.TwoWay))
	attempted := 0
	for {
		f := b.next()
		if f.Type() == events.WebhookSucceeded {
			if f.data.Webhook.ConnectionID != "con_2" {
				t.Fatalf("%s succeeded", f.data.Webhook.ConnectionID)
			}
			break
		}
		if f.Type() != events.WebhookAttempted {
			t.Fatalf("%s: %s", f.Type(), f.data.Error)
		}
		attempted++
	}
	receiver.down.Store(false)
	for succeeded := 0; succeeded < waiting; {
		switch f := b.next(); f.Type() {
		case events.WebhookSucceeded:
			succeeded++
		case events.WebhookAttempted:
			attempted++
		default:
			t.Fatalf("%s: %s", f.Type(), f.data.Error)
		}
	}
	// The calls of the lane that were in flight, and the trials.
	if most := failedBefore(&receiver, waiting); attempted != most {
		t.Errorf("%d attempts were told, %d made", attempted, most)
	}
	if limit := 12 + 2*b.settings.LaneConcurrency; attempted > limit {
		t.Errorf("the outage used up %d attempts of %d calls, at most %d were expected", attempted, waiting, limit)
	}
	b.settled()
}

func failedBefore(o *outage, succeeded int) int { return int(o.calls.Load()) - succeeded }

// One call at a time tries a receiver, whatever waits.
func TestTrialIsOneCall(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settings.coolDown = 200 * time.Millisecond
	b.settings.DeliveryMaxAttempts = 10
	slow := newBlocking()
	var down atomic.Bool
	down.Store(true)
	b.connection("con_1", catalog.Secrets{URL: b.receiver(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
		slow.ServeHTTP(w, r)
	}), Authorization: "s3cret"})
	b.start()
	for _, call := range b.more(b.call("con_1", record.Pre, record.TwoWay), 20) {
		b.order(call)
	}
	b.until("the breaker is open and earlier calls have ended", func() bool {
		lanes := b.lanes().Lanes
		return len(lanes) == 1 && lanes[0].Breaker == "open" && lanes[0].InFlight == 0
	})
	down.Store(false)
	<-slow.begun
	b.until("the trial is shown", func() bool { return b.breaker("con_1") == "half-open" })
	if n := len(slow.begun); n != 0 {
		t.Errorf("%d calls beside the trial", n)
	}
	close(slow.release)
	for succeeded := 0; succeeded < 20; {
		if f := b.next(); f.Type() == events.WebhookSucceeded {
			succeeded++
		}
	}
	b.until("the breaker is closed", func() bool { return b.breaker("con_1") != "half-open" })
	b.settled()
}

// breaker asks the dispatcher how the breaker of a lane is.
func (b *bundle) breaker(connectionID string) string {
	b.t.Helper()
	for _, lane := range b.lanes().Lanes {
		if lane.ConnectionID == connectionID {
			return lane.Breaker
		}
	}
	return ""
}
