package transition_test

import (
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/transition"
)

// A server may leave the consumer behind a submission that it has given to
// nobody, which is taken up, and behind one that was taken up, which goes.
func TestASubmissionThatWasPassedOver(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *transition.Config) { c.CleanEvery, c.CleanAfter = 50*time.Millisecond, 200*time.Millisecond })
	b.policy(nil, nil)
	ctx := t.Context()
	submit := func(id string) {
		t.Helper()
		email := "a@example.com"
		must(t, b.vault.Put(ctx, id, vault.Person{Identity: identity.Identity{Email: &email}}, time.Hour))
		data, err := json.Marshal(work.Command{
			ID: rand.Text(), Name: work.Submit, RequestID: id, At: time.Now(),
			Submission: &record.Submission{PolicyKey: "p1", RequestedAt: time.Now()},
		})
		must(t, err)
		_, err = b.js.Publish(ctx, events.CommandSubject(id), data)
		must(t, err)
	}
	submit("pri_taken")
	submit("pri_passed")
	submit("pri_other")
	rec, err := (&record.Record{ID: "pri_taken", Status: record.Complete}).Encode()
	must(t, err)
	_, err = b.requests.Create(ctx, "pri_taken", rec, 0)
	must(t, err)
	consumer, err := b.js.CreateConsumer(ctx, events.StreamWork, jetstream.ConsumerConfig{
		Durable: topology.ConsumerCommands, FilterSubject: events.CommandSubject("pri_other"), AckPolicy: jetstream.AckExplicitPolicy,
	})
	must(t, err)
	msg, err := consumer.Next(jetstream.FetchMaxWait(time.Minute))
	must(t, err)
	must(t, msg.DoubleAck(ctx))

	b.run()
	b.facts.await(events.RequestCreated, "pri_passed")
	if types := b.facts.types("pri_taken"); len(types) > 0 {
		t.Errorf("a request that was there got %v", types)
	}
}
