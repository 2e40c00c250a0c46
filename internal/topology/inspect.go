package topology

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/pkg/events"
)

// Inspected is what Inspect found out about a stream, or the stream of a
// bucket.
type Inspected struct {
	Name string
	// Owner is the service that makes and updates it.
	Owner string
	// Info is nil where the stream could not be looked at.
	Info *jetstream.StreamInfo
	// Err is why: jetstream.ErrStreamNotFound, or that NATS does not answer.
	Err error
	// Deviations are settings that are not those of this version.
	Deviations []string
}

// Inspect looks at all streams and buckets and changes nothing.
func Inspect(ctx context.Context, js jetstream.JetStream) []Inspected {
	var found []Inspected
	for _, expected := range []struct {
		owner string
		want  func(o Options) jetstream.StreamConfig
	}{
		{UserOrchestrator, eventsStream},
		{UserOrchestrator, workStream},
		{UserOrchestrator, func(o Options) jetstream.StreamConfig { return bucketStream(BucketRequests, "", true, o) }},
		{UserOrchestrator, func(o Options) jetstream.StreamConfig { return bucketStream(BucketIdentities, "", true, o) }},
		{UserCallback, func(o Options) jetstream.StreamConfig { return bucketStream(BucketHalted, "", true, o) }},
		{UserConfig, func(o Options) jetstream.StreamConfig { return bucketStream(BucketConfig, "", false, o) }},
	} {
		i := Inspected{Name: expected.want(Options{}).Name, Owner: expected.owner}
		if stream, err := js.Stream(ctx, i.Name); err != nil {
			i.Err = err
		} else {
			i.Info = stream.CachedInfo()
			have := i.Info.Config
			i.Deviations = deviations(have, expected.want(Options{Replicas: have.Replicas, EventRetention: have.MaxAge}))
		}
		found = append(found, i)
	}
	return found
}

// deviations names what matters and differs. The number of replicas and the age
// of facts are the deployment's.
func deviations(have, want jetstream.StreamConfig) []string {
	if have.Name != events.StreamEvents {
		want.MaxAge = 0
	}
	var differ []string
	for _, setting := range []struct {
		name       string
		have, want any
	}{
		{"retention", have.Retention, want.Retention},
		{"storage", have.Storage, want.Storage},
		{"max_age", have.MaxAge, want.MaxAge},
		{"duplicate_window", have.Duplicates, max(want.Duplicates, 0)},
		{"max_msgs_per_subject", max(have.MaxMsgsPerSubject, 0), max(want.MaxMsgsPerSubject, 0)},
		{"allow_msg_ttl", have.AllowMsgTTL, want.AllowMsgTTL},
		{"allow_msg_schedules", have.AllowMsgSchedules, want.AllowMsgSchedules},
		{"subject_delete_marker_ttl", have.SubjectDeleteMarkerTTL, want.SubjectDeleteMarkerTTL},
		{"allow_rollup_hdrs", have.AllowRollup && want.AllowRollup, want.AllowRollup}, // schedules bring it along
		{"deny_delete", have.DenyDelete, want.DenyDelete},
		{"allow_direct", have.AllowDirect, want.AllowDirect},
	} {
		if setting.name == "duplicate_window" && want.Duplicates == 0 {
			continue // the server's own
		}
		if setting.have != setting.want {
			differ = append(differ, fmt.Sprintf("%s is %v and should be %v", setting.name, setting.have, setting.want))
		}
	}
	if !slices.Equal(have.Subjects, want.Subjects) {
		differ = append(differ, fmt.Sprintf("subjects are %v and should be %v", have.Subjects, want.Subjects))
	}
	return differ
}

// InspectConsumers says which of the durable consumers of the services are
// missing, by stream; lanes come and go, and are not among them.
func InspectConsumers(ctx context.Context, js jetstream.JetStream) (missing []string, err error) {
	for consumer, stream := range map[string]string{
		ConsumerCommands: events.StreamWork, ConsumerFacts: events.StreamEvents,
		ConsumerProjectionRecords: streamOf(BucketRequests), ConsumerProjectionEvents: events.StreamEvents,
		ConsumerCallbackFacts: events.StreamEvents, ConsumerCallbackExpiry: streamOf(BucketHalted),
	} {
		_, err := js.Consumer(ctx, stream, consumer)
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
			missing = append(missing, consumer)
		case err != nil:
			return nil, fmt.Errorf("topology: consumer %s: %w", consumer, err)
		}
	}
	slices.Sort(missing)
	return missing, nil
}
