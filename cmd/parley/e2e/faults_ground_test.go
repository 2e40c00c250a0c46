//go:build faults

package e2e

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/cmd/parley/internal/story"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// ground is a house in which things are broken, with somebody who watches it
// from outside. Trials take place in it one after the other.
type ground struct {
	*house
	postgres *cluster // nil where the test's shared one is used
	nc       *nats.Conn
	js       jetstream.JetStream
	requests *topology.Bucket
	halted   *topology.Bucket
	token    string // of an admin
	current  atomic.Pointer[trial]
	belongs  sync.Map // request id to its trial
}

const (
	policyKey    = "erasure_policy"
	webhookPath  = "/webhook"
	derivedPhone = "+15555555555"
	// lookEvery is how often records are read.
	lookEvery = 30 * time.Millisecond
	// clientPatience is how long a client waits for one answer.
	clientPatience = 15 * time.Second
)

// prepare starts a house, with the webhooks of the story, and watches it.
func prepare(t *testing.T, ownPostgres bool) *ground {
	t.Helper()
	g := &ground{}
	if ownPostgres {
		g.postgres = startCluster(t)
		g.house = setupOver(t, g.postgres.databases(), nil)
	} else {
		g.house = setup(t, nil)
	}
	g.open()
	return g
}

// open starts the services and begins to watch.
func (g *ground) open() {
	g.t.Helper()
	g.transport = g
	g.startAll(serviceNames...)
	if g.nc == nil {
		g.nc, g.js = testbed.Connect(g.t, g.natsURL)
	}
	g.requests, g.halted = g.bucket(topology.BucketRequests), g.bucket(topology.BucketHalted)
	g.watch()
	admin := &story.Story{Cast: story.Published(), Receiver: g.receiver}
	if err := admin.Open(g.t.Context(), g.origin, rootID, g.secret); err != nil {
		g.t.Fatal(err)
	}
	if err := admin.Configure(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
	g.token = admin.Token()
	g.receiver.Script(webhookPath, g.script())
}

func (g *ground) bucket(name string) *topology.Bucket {
	g.t.Helper()
	b, err := topology.AwaitBucket(g.t.Context(), g.js, name, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return b
}

// record reads the record of a request, nil where it cannot be read now.
func (g *ground) record(ctx context.Context, id string) *record.Record {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	entry, err := g.requests.Get(ctx, id)
	if err != nil {
		return nil
	}
	rec := new(record.Record)
	if json.Unmarshal(entry.Value, rec) != nil {
		return nil
	}
	return rec
}

// halt says whether the halt of a call is kept; known is false where that
// cannot be read now.
func (g *ground) halt(ctx context.Context, callID string) (kept, known bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := g.halted.Get(ctx, callID)
	switch {
	case err == nil:
		return true, true
	case isNotFound(err):
		return false, true
	}
	return false, false
}

// said says whether a fact about a request stands in the stream.
func (g *ground) said(ctx context.Context, eventType, requestID string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	subject, err := events.Subject(eventType, requestID)
	if err != nil {
		return false
	}
	stream, err := g.js.Stream(ctx, events.StreamEvents)
	if err != nil {
		return false
	}
	_, err = stream.GetLastMsgForSubject(ctx, subject)
	return err == nil
}

// waiting are the subjects under which work waits.
func (g *ground) waiting(ctx context.Context, filter string) (subjects map[string]uint64, known bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	stream, err := g.js.Stream(ctx, events.StreamWork)
	if err != nil {
		return nil, false
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, false
	}
	return info.State.Subjects, true
}

// callsOf are the calls of a request that the receiver got.
func (g *ground) callsOf(requestID string) []receiver.Call {
	var calls []receiver.Call
	for _, c := range g.receiver.Calls() {
		if p, err := c.Payload(); err == nil && p.PrivacyRequestID == requestID {
			calls = append(calls, c)
		}
	}
	return calls
}

// facts are the facts about a request, as they stand in the stream.
func (g *ground) facts(requestID string) []events.Event {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.t.Context()), clientPatience)
	defer cancel()
	consumer, err := g.js.OrderedConsumer(ctx, events.StreamEvents, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{"dsr.event.*.*." + requestID},
	})
	if err != nil {
		g.t.Errorf("facts of %s: %v", requestID, err)
		return nil
	}
	batch, err := consumer.FetchNoWait(1000)
	if err != nil {
		g.t.Errorf("facts of %s: %v", requestID, err)
		return nil
	}
	var all []events.Event
	for m := range batch.Messages() {
		e, err := events.Decode(m.Headers(), m.Data())
		if err != nil {
			g.t.Errorf("facts of %s: %v", requestID, err)
			continue
		}
		all = append(all, e)
	}
	return all
}

// lapse lets the time for acknowledgements pass for a durable consumer: what a
// dead process has taken and not acknowledged is taken by the test, as another
// replica would, and given back. Nothing else can be known of that time than
// that it passes, and in earnest it takes a minute.
func (g *ground) lapse(stream, name string) {
	ctx, cancel := context.WithTimeout(g.t.Context(), clientPatience)
	defer cancel()
	consumer, err := g.js.Consumer(ctx, stream, name)
	if err != nil {
		return // it is not made yet, or the server is away
	}
	taken := consumer.CachedInfo().NumAckPending
	if taken == 0 {
		return
	}
	config := consumer.CachedInfo().Config
	hasty := config
	hasty.AckWait = 50 * time.Millisecond
	consumer, err = g.js.UpdateConsumer(ctx, stream, hasty)
	if err != nil {
		return
	}
	g.giveBack(ctx, consumer, taken)
	if _, err := g.js.UpdateConsumer(ctx, stream, config); err != nil {
		g.t.Errorf("set back the consumer %s: %v", name, err)
	}
}

// giveBack takes messages until it has those that were taken before, and gives
// them all back.
func (g *ground) giveBack(ctx context.Context, consumer jetstream.Consumer, taken int) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	held := map[uint64]jetstream.Msg{}
	for taken > 0 && ctx.Err() == nil {
		m, err := consumer.Next(jetstream.FetchMaxWait(200 * time.Millisecond))
		if err != nil {
			continue // not yet
		}
		meta, err := m.Metadata()
		if err != nil {
			continue
		}
		if _, again := held[meta.Sequence.Stream]; !again && meta.NumDelivered > 1 {
			taken--
		}
		held[meta.Sequence.Stream] = m
	}
	for _, m := range held {
		_ = m.Nak() // one that is lost comes again by itself
	}
}

// lapseAll lets it pass for all consumers of a service; "" is every service.
func (g *ground) lapseAll(service string) {
	var lapses sync.WaitGroup
	defer lapses.Wait()
	for _, stream := range []string{events.StreamWork, events.StreamEvents, g.requests.StreamName(), g.halted.StreamName()} {
		ctx, cancel := context.WithTimeout(g.t.Context(), clientPatience)
		s, err := g.js.Stream(ctx, stream)
		if err == nil {
			names := s.ConsumerNames(ctx)
			for name := range names.Name() {
				if service == "" || ownerOf(name) == service {
					lapses.Go(func() { g.lapse(stream, name) })
				}
			}
		}
		cancel()
	}
}

// ownerOf is the service that a durable consumer belongs to, "" for none.
func ownerOf(consumer string) string {
	switch consumer {
	case topology.ConsumerCommands, topology.ConsumerFacts, topology.ConsumerProjectionRecords, topology.ConsumerProjectionEvents:
		return "orchestrator"
	case topology.ConsumerCallbackFacts, topology.ConsumerCallbackExpiry:
		return "callback"
	}
	if len(consumer) > len("lane-") && consumer[:len("lane-")] == "lane-" {
		return "dispatcher"
	}
	return ""
}
