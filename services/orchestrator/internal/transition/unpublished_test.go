package transition_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/lifecycle"
	"github.com/parley-dsr/parley/services/orchestrator/internal/transition"
)

// An outbox that NATS does not take is shown with its age, until the input comes
// again: here, or in another process.
func TestAnOutboxThatIsNotPublishedShows(t *testing.T) {
	t.Parallel()
	for name, elsewhere := range map[string]bool{"then published here": false, "then published elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry, now := prometheus.NewRegistry(), time.Now().UTC().Truncate(time.Second)
			var config transition.Config
			b := setup(t, func(c *transition.Config) {
				c.Metrics, c.Clock = transition.NewMetrics(registry), func() time.Time { return now }
				config = *c
			})
			b.policy(nil, nil)
			shows := func(outboxes, oldest float64) {
				t.Helper()
				b.loop.Count(t.Context())
				number, age := gauge(t, registry, "parley_orchestrator_unpublished_outboxes"), gauge(t, registry, "parley_orchestrator_unpublished_oldest_seconds")
				if number != outboxes || age != oldest {
					t.Fatalf("%v outboxes for %v s, want %v for %v s", number, age, outboxes, oldest)
				}
			}
			const id = "pri_1"
			email := "a@example.com"
			must(t, b.vault.Put(t.Context(), id, vault.Person{Identity: identity.Identity{Email: &email}}, time.Hour))
			submission := transition.Delivery{RequestID: id, Input: lifecycle.Input{Command: &work.Command{
				ID: rand.Text(), Name: work.Submit, RequestID: id, At: now, Submission: &record.Submission{PolicyKey: "p1", RequestedAt: now},
			}}}
			shows(0, 0)
			b.largestFact(1)
			if err := b.loop.Handle(t.Context(), submission); err == nil {
				t.Fatal("handled, although no fact was taken")
			}
			now = now.Add(time.Minute)
			shows(1, 60)
			b.largestFact(-1)
			publisher := b.loop
			if elsewhere {
				config.Metrics = transition.NewMetrics(prometheus.NewRegistry())
				publisher = transition.New(config)
			}
			must(t, publisher.Handle(t.Context(), submission))
			for config.JS.PublishAsyncPending() > 0 { // the outbox is being cleared
				<-config.JS.PublishAsyncComplete()
			}
			shows(0, 0)
		})
	}
}

// largestFact limits the size of facts; -1 is no limit.
func (b *bench) largestFact(bytes int32) {
	b.t.Helper()
	stream, err := b.js.Stream(b.t.Context(), events.StreamEvents)
	must(b.t, err)
	config := stream.CachedInfo().Config
	config.MaxMsgSize = bytes
	_, err = b.js.UpdateStream(b.t.Context(), config)
	must(b.t, err)
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("%s is not there", name)
	return 0
}
