package topology_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// ensureAll is what the owners do at start.
func ensureAll(ctx context.Context, js jetstream.JetStream, o topology.Options) error {
	return errors.Join(
		topology.EnsureOrchestrator(ctx, js, o),
		topology.EnsureCallback(ctx, js, o),
		topology.EnsureConfig(ctx, js, o),
	)
}

// configs gives the settings of all streams as the server has them.
func configs(t *testing.T, js jetstream.JetStream) map[string]jetstream.StreamConfig {
	t.Helper()
	found := map[string]jetstream.StreamConfig{}
	list := js.ListStreams(t.Context())
	for info := range list.Info() {
		found[info.Config.Name] = info.Config
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEnsureTwiceIsEnsureOnce(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	o := topology.Options{EventRetention: 720 * time.Hour}
	if err := ensureAll(t.Context(), js, o); err != nil {
		t.Fatal(err)
	}
	once := configs(t, js)
	if err := ensureAll(t.Context(), js, o); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(once, configs(t, js)); diff != "" {
		t.Error(diff)
	}
	if len(once) != 6 {
		t.Errorf("%d streams", len(once))
	}
}

func TestEnsureByManyAtOnce(t *testing.T) {
	t.Parallel()
	url := testbed.NATSServer(t).URL()
	var replicas sync.WaitGroup
	failures := make(chan error, 8)
	for range cap(failures) {
		_, js := testbed.Connect(t, url)
		replicas.Go(func() { failures <- ensureAll(t.Context(), js, topology.Options{}) })
	}
	replicas.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestEnsureUpdates(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	for _, retention := range []time.Duration{0, time.Hour, time.Minute} {
		if err := ensureAll(t.Context(), js, topology.Options{EventRetention: retention}); err != nil {
			t.Fatal(err)
		}
		if got := configs(t, js)[events.StreamEvents].MaxAge; got != retention {
			t.Errorf("MaxAge = %s, want %s", got, retention)
		}
	}
}

func TestSettingsThatMatter(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	if err := ensureAll(t.Context(), js, topology.Options{EventRetention: time.Hour}); err != nil {
		t.Fatal(err)
	}
	all := configs(t, js)
	facts, work := all[events.StreamEvents], all[events.StreamWork]
	if facts.MaxAge != time.Hour || facts.Duplicates != 10*time.Minute || facts.Compression != jetstream.S2Compression || !facts.AllowDirect {
		t.Errorf("facts: %+v", facts)
	}
	if work.Retention != jetstream.WorkQueuePolicy || !work.AllowMsgSchedules || !work.AllowMsgTTL ||
		work.Duplicates != 10*time.Minute || work.MaxConsumers < 1000 {
		t.Errorf("work: %+v", work)
	}
	for bucket, ttl := range map[string]time.Duration{
		topology.BucketRequests: 720 * time.Hour, topology.BucketIdentities: 720 * time.Hour,
		topology.BucketHalted: 720 * time.Hour, topology.BucketConfig: 0,
	} {
		c := all["KV_"+bucket]
		if c.SubjectDeleteMarkerTTL != ttl || c.AllowMsgTTL != (ttl > 0) || c.MaxMsgsPerSubject != 1 || !c.AllowRollup || !c.AllowDirect {
			t.Errorf("%s: %+v", bucket, c)
		}
		if _, err := js.KeyValue(t.Context(), bucket); err != nil {
			t.Errorf("%s is no bucket for the client: %v", bucket, err)
		}
	}
}

func TestAwaitTellsWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	reasons := make(chan string, 100)
	found := make(chan *topology.Bucket)
	go func() {
		b, err := topology.AwaitBucket(t.Context(), js, topology.BucketConfig, func(reason string) { reasons <- reason })
		if err != nil {
			t.Error(err)
		}
		found <- b
	}()
	if reason := <-reasons; !strings.Contains(reason, "KV_dsr_config") {
		t.Errorf("reason = %q", reason)
	}
	if err := topology.EnsureConfig(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	if b := <-found; b.Name() != topology.BucketConfig || b.StreamName() != "KV_dsr_config" {
		t.Errorf("bucket %s in %s", b.Name(), b.StreamName())
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := topology.AwaitStream(ctx, js, "NONE", func(string) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

func TestScheduledWorkComesToItsLane(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	lane, err := js.CreateConsumer(t.Context(), events.StreamWork, jetstream.ConsumerConfig{
		Durable: topology.LaneConsumer("con_1"), FilterSubject: events.LaneFilter("con_1"), AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), events.TimerSubject("call_1", 2), []byte("again"),
		jetstream.WithScheduleAt(time.Now().Add(time.Second)),
		jetstream.WithScheduleTarget(events.CallSubject("con_1", "pri_1"))); err != nil {
		t.Fatal(err)
	}
	msg, err := lane.Next(jetstream.FetchMaxWait(time.Minute))
	if err != nil || string(msg.Data()) != "again" {
		t.Fatalf("message %v, %v", msg, err)
	}
}

func TestKeyOfSubject(t *testing.T) {
	t.Parallel()
	for subject, key := range map[string]string{
		"$KV.dsr_config.policy.erase": "policy.erase",
		"$KV.dsr_halted.pri_1":        "pri_1",
		"dsr.event.x":                 "",
		"$KV.dsr_halted":              "",
	} {
		if got := topology.KeyOfSubject(subject); got != key {
			t.Errorf("%s: %q", subject, got)
		}
	}
}

// waitFor gives the next message of a consumer.
func waitFor(t *testing.T, c jetstream.Consumer) jetstream.Msg {
	t.Helper()
	msg, err := c.Next(jetstream.FetchMaxWait(time.Minute))
	if err != nil {
		t.Fatal(fmt.Errorf("no message came: %w", err))
	}
	if err := msg.Ack(); err != nil {
		t.Fatal(err)
	}
	return msg
}
