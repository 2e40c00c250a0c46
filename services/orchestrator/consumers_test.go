package orchestrator_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/dispatchertest"
)

// TestConsumersThatAreGoneAreMadeAnew: somebody deletes every consumer of a
// service that runs. It makes them again by itself, and a request that is
// submitted then is carried out.
func TestConsumersThatAreGoneAreMadeAnew(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy([]record.Webhook{hook("first", record.TwoWay)}, nil)
	dispatchertest.Play(t, s.js, dispatchertest.Succeed)
	s.awaitStatus(s.submit(), "complete")

	consumers := map[string]string{
		topology.ConsumerCommands: events.StreamWork, topology.ConsumerFacts: events.StreamEvents,
		topology.ConsumerProjectionEvents: events.StreamEvents, topology.ConsumerProjectionRecords: "KV_" + topology.BucketRequests,
	}
	made := map[string]time.Time{}
	for name, stream := range consumers {
		consumer, err := s.js.Consumer(t.Context(), stream, name)
		must(t, err)
		made[name] = consumer.CachedInfo().Created
		must(t, s.js.DeleteConsumer(t.Context(), stream, name))
	}
	s.eventually("the consumers are made anew", func() bool {
		for name, stream := range consumers {
			consumer, err := s.js.Consumer(t.Context(), stream, name)
			if err != nil || !consumer.CachedInfo().Created.After(made[name]) {
				return false
			}
		}
		return true
	})
	s.awaitStatus(s.submit(), "complete")
}

// TestConsumersOfOthersAreMade: an observer asks for its consumer where the
// server leads it, gets the answer of the server, and is refused another one in
// the words of JetStream.
func TestConsumersOfOthersAreMade(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	ask := func(user, config string) (told struct {
		Name  string              `json:"name"`
		Error *jetstream.APIError `json:"error"`
	}) {
		t.Helper()
		var reply *nats.Msg
		s.eventually("somebody answers", func() bool {
			var err error
			reply, err = s.nc.Request("dsr.ask.consumer."+user, []byte(`{"stream_name":"DSR_EVENTS","config":`+config+`}`), time.Minute)
			if err != nil && !errors.Is(err, nats.ErrNoResponders) {
				t.Fatal(err)
			}
			return err == nil
		})
		must(t, json.Unmarshal(reply.Data, &told))
		return told
	}
	if told := ask("observer-a", `{"durable_name":"observer-a","ack_policy":"explicit"}`); told.Error != nil || told.Name != "observer-a" {
		t.Errorf("the consumer: %+v, %v", told, told.Error)
	}
	if told := ask("observer-a", `{"durable_name":"observer-a","deliver_subject":"dsr.work.command.x"}`); told.Error == nil || !strings.Contains(told.Error.Description, "pulled") {
		t.Errorf("with delivery to a subject: %+v", told)
	}
	if told := ask("orchestrator-facts", `{"durable_name":"orchestrator-facts"}`); told.Error == nil || told.Error.Code != 400 {
		t.Errorf("of a service: %+v", told)
	}
}
