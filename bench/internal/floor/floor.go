// Package floor does what a lifecycle of a privacy request needs of NATS and of
// the network at least, with nothing around it: it stores as many messages of
// the same sizes in streams of the same settings, reads as many keys, is
// delivered and acknowledges as many, and posts as often over TLS; in the same
// order, where one has to wait for another. What docs/events.md says of a
// lifecycle is what it does; Table prints it.
//
// Not in it are Postgres, the consumers that feed the read model, REST, and all
// that a service does besides: encoding, sealing, deciding, logging. So it is
// what a lifecycle could cost if all of that were free.
package floor

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// Options say what the floor runs on.
type Options struct {
	// NATS is the URL of the server, Receiver that of who is called.
	NATS, Receiver string
	// Client trusts the receiver.
	Client *http.Client
	// Connections are the lanes, Concurrency the calls in flight on each.
	Connections, Concurrency int
}

// Floor is ready to run.
type Floor struct {
	options    Options
	inside     *nats.Conn // of what stands for the orchestrator
	outside    *nats.Conn // of what stands for the dispatcher
	js, caller jetstream.JetStream

	own, theirs buckets // as the one and the other reads them
	ends        ends
	consuming   []jetstream.ConsumeContext
	body        []byte
}

// The streams, and what they are like.
const (
	streamFacts, streamWork                     = "FLOOR_EVENTS", "FLOOR_WORK"
	bucketRecords, bucketVault, bucketConfig    = "floor_requests", "floor_identities", "floor_config"
	inputPending, deliverAtMost, ackWait        = 1024, 256, time.Minute
	identityTTL                                 = 168 * time.Hour
	sizeBody, sizePolicy, sizeConnection, small = 1437, 766, 381, 60
)

// Open makes the streams anew, with the settings of Parley's own, which must
// exist, and begins to consume.
func Open(ctx context.Context, o Options) (*Floor, error) {
	f := &Floor{options: o, body: bytes.Repeat([]byte("x"), sizeBody)}
	if err := f.open(ctx); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Floor) open(ctx context.Context) (err error) {
	if f.inside, err = nats.Connect(f.options.NATS); err != nil {
		return err
	}
	if f.outside, err = nats.Connect(f.options.NATS); err != nil {
		return err
	}
	if f.js, err = jetstream.New(f.inside); err != nil {
		return err
	}
	if f.caller, err = jetstream.New(f.outside); err != nil {
		return err
	}
	f.ends.init()
	if err := f.makeStreams(ctx); err != nil {
		return err
	}
	if err := f.configure(ctx); err != nil {
		return err
	}
	if _, err := f.inside.Subscribe("floor.event.request.completed.*", func(m *nats.Msg) { f.ends.end(idOf(m.Subject)) }); err != nil {
		return err
	}
	return f.consumeAll(ctx)
}

func (f *Floor) makeStreams(ctx context.Context) (err error) {
	for _, one := range []struct {
		like, name, subject string
	}{
		{events.StreamEvents, streamFacts, "floor.event.>"},
		{events.StreamWork, streamWork, "floor.work.>"},
		{"KV_" + topology.BucketRequests, "KV_" + bucketRecords, key(bucketRecords, ">")},
		{"KV_" + topology.BucketIdentities, "KV_" + bucketVault, key(bucketVault, ">")},
		{"KV_" + topology.BucketConfig, "KV_" + bucketConfig, key(bucketConfig, ">")},
	} {
		like, err := f.js.Stream(ctx, one.like)
		if err != nil {
			return fmt.Errorf("floor: the settings of %s: %w", one.like, err)
		}
		_ = f.js.DeleteStream(ctx, one.name) // of an earlier run
		config := like.CachedInfo().Config
		config.Name, config.Subjects = one.name, []string{one.subject}
		if _, err := f.js.CreateStream(ctx, config); err != nil {
			return fmt.Errorf("floor: %s: %w", one.name, err)
		}
	}
	if f.own, err = openBuckets(ctx, f.js); err != nil {
		return err
	}
	f.theirs, err = openBuckets(ctx, f.caller)
	return err
}

// buckets are read key by key.
type buckets map[string]jetstream.Stream

func openBuckets(ctx context.Context, js jetstream.JetStream) (buckets, error) {
	opened := buckets{}
	for _, name := range []string{bucketRecords, bucketVault, bucketConfig} {
		stream, err := js.Stream(ctx, "KV_"+name)
		if err != nil {
			return nil, err
		}
		opened[name] = stream
	}
	return opened, nil
}

// read gives the sequence of a key.
func (b buckets) read(ctx context.Context, bucket, of string) (uint64, error) {
	msg, err := b[bucket].GetLastMsgForSubject(ctx, key(bucket, of))
	if err != nil {
		return 0, err
	}
	return msg.Sequence, nil
}

func key(bucket, of string) string { return "$KV." + bucket + "." + of }

func (f *Floor) configure(ctx context.Context) error {
	for key, size := range map[string]int{"policy": sizePolicy, "settings": small, "preapproval": small} {
		if _, err := f.js.Publish(ctx, "$KV."+bucketConfig+"."+key, make([]byte, size)); err != nil {
			return err
		}
	}
	for i := range f.options.Connections {
		if _, err := f.js.Publish(ctx, "$KV."+bucketConfig+"."+connection(i), make([]byte, sizeConnection)); err != nil {
			return err
		}
	}
	return nil
}

func connection(i int) string { return fmt.Sprintf("connection%d", i) }

// consumeAll begins to consume commands, facts and the lanes.
func (f *Floor) consumeAll(ctx context.Context) error {
	if err := f.consume(ctx, f.js, streamWork, "commands", "floor.work.command.*", inputPending, f.submitted); err != nil {
		return err
	}
	if err := f.consume(ctx, f.js, streamFacts, "facts", "floor.event.webhook.succeeded.*", inputPending, f.answered); err != nil {
		return err
	}
	for i := range f.options.Connections {
		filter := "floor.work.call." + connection(i) + ".*"
		if err := f.consume(ctx, f.caller, streamWork, connection(i), filter, f.options.Concurrency, f.call); err != nil {
			return err
		}
	}
	return nil
}

// consume handles messages as they come, all at once; how many are delivered is
// what bounds it.
func (f *Floor) consume(ctx context.Context, js jetstream.JetStream, stream, durable, filter string, pending int, handle func(context.Context, jetstream.Msg) error) error {
	consumer, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: durable, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: pending, MaxDeliver: -1,
	})
	if err != nil {
		return fmt.Errorf("floor: consume %s: %w", filter, err)
	}
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		go func() {
			err := handle(ctx, msg)
			if err == nil {
				err = msg.Ack()
			}
			if err != nil && ctx.Err() == nil {
				f.ends.fail(fmt.Errorf("floor: %s: %w", filter, err))
			}
		}()
	}, jetstream.PullMaxMessages(min(pending, deliverAtMost)))
	if err != nil {
		return err
	}
	f.consuming = append(f.consuming, consuming)
	return nil
}

// Close stops it and removes its streams.
func (f *Floor) Close() {
	for _, c := range f.consuming {
		c.Stop()
	}
	if f.js != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, name := range []string{streamFacts, streamWork, "KV_" + bucketRecords, "KV_" + bucketVault, "KV_" + bucketConfig} {
			_ = f.js.DeleteStream(ctx, name)
		}
	}
	for _, nc := range []*nats.Conn{f.inside, f.outside} {
		if nc != nil {
			nc.Close()
		}
	}
}

// idOf is the last token of a subject.
func idOf(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }
