// Package topology is the one place that defines Parley's streams, buckets and
// durable consumers, and the one way in which services use the buckets.
//
// The owner of a stream or bucket creates and updates it with an Ensure
// function when it starts; the others wait for it with an Await function and
// never create it. Ensure is safe to repeat, and safe to run by several
// replicas at once.
//
// Buckets are NATS key-value buckets, but go through Bucket here and not
// through the client's KeyValue: that one silently drops a key's time to live
// on update, refuses one below a second, and takes a negative one for none. A
// Bucket keeps the one it is given, rounds it up to whole seconds, and refuses
// what has expired already. A key that expires leaves a marker on the bucket's
// stream (IsExpiry), which a durable consumer gets like any message; this is
// how a halt that nobody resumed is noticed, also after everything was down.
package topology

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/pkg/events"
)

// The buckets.
const (
	// BucketRequests holds one record a request; the orchestrator writes it.
	BucketRequests = "dsr_requests"
	// BucketIdentities is the vault: sealed, and the only place of personal
	// data. Every key has a time to live.
	BucketIdentities = "dsr_identities"
	// BucketHalted holds one key a halt, by call id. Every key has a time to
	// live, and its expiry marker is the timer of the halt.
	BucketHalted = "dsr_halted"
	// BucketConfig holds what the config service publishes for the others.
	BucketConfig = "dsr_config"
)

const (
	// DuplicateWindow is how long the streams know the ids of messages.
	DuplicateWindow = 10 * time.Minute
	// MarkerTTL is how long the marker of an expired key stays: the longest
	// time for which the service that waits for it may be away.
	MarkerTTL = 720 * time.Hour
	// RemovedTTL is how long the trace of a removed key stays.
	RemovedTTL = 24 * time.Hour
	// MaxWorkConsumers is the limit of consumers of the work stream: one lane
	// a connection that has work. The server's default would be 1 000.
	MaxWorkConsumers = 10_000
	// MaxEventConsumers is the limit of consumers of the facts.
	MaxEventConsumers = 10_000
)

// Options are what the deployment says about streams and buckets.
type Options struct {
	// Replicas of each stream and bucket; 0 is 1.
	Replicas int
	// EventRetention is the age at which facts go; 0 is never.
	EventRetention time.Duration
}

func (o Options) replicas() int { return max(o.Replicas, 1) }

func eventsStream(o Options) jetstream.StreamConfig {
	duplicates := DuplicateWindow
	if o.EventRetention > 0 {
		// The server refuses a window that is longer than the messages live.
		duplicates = min(duplicates, o.EventRetention)
	}
	return jetstream.StreamConfig{
		Name:         events.StreamEvents,
		Description:  "Facts: what happened to privacy requests, for anyone",
		Subjects:     []string{events.SubjectAll},
		Retention:    jetstream.LimitsPolicy,
		MaxAge:       o.EventRetention,
		Duplicates:   duplicates,
		Storage:      jetstream.FileStorage,
		Compression:  jetstream.S2Compression,
		Replicas:     o.replicas(),
		MaxConsumers: MaxEventConsumers,
		AllowDirect:  true,
	}
}

func workStream(o Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              events.StreamWork,
		Description:       "Work: commands, calls, executions and their timers, each for one worker",
		Subjects:          []string{"dsr.work.>"},
		Retention:         jetstream.WorkQueuePolicy,
		Duplicates:        DuplicateWindow,
		Storage:           jetstream.FileStorage,
		Replicas:          o.replicas(),
		MaxConsumers:      MaxWorkConsumers,
		AllowMsgSchedules: true,
		AllowMsgTTL:       true,
	}
}

// bucketStream is the stream of a key-value bucket as the NATS clients lay it
// out, so that `nats kv` reads it. History is 1: with more, the server would
// lengthen a time to live to that of the markers.
func bucketStream(bucket, description string, ttl bool, o Options) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:              streamOf(bucket),
		Description:       description,
		Subjects:          []string{subjectOf(bucket, ">")},
		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardNew,
		Storage:           jetstream.FileStorage,
		Replicas:          o.replicas(),
		AllowRollup:       true,
		DenyDelete:        true,
		// A follower that lags would answer a direct get with the past, and a
		// service that believes it would lose an input.
		AllowDirect: o.replicas() == 1,
	}
	if ttl {
		c.AllowMsgTTL = true
		c.SubjectDeleteMarkerTTL = MarkerTTL
	}
	return c
}

func streamOf(bucket string) string       { return "KV_" + bucket }
func subjectOf(bucket, key string) string { return "$KV." + bucket + "." + key }
