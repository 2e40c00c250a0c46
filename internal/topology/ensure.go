package topology

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// EnsureOrchestrator creates or updates what the orchestrator owns: the
// streams of facts and of work, the records and the vault.
func EnsureOrchestrator(ctx context.Context, js jetstream.JetStream, o Options) error {
	return ensure(ctx, js,
		eventsStream(o),
		workStream(o),
		bucketStream(BucketRequests, "Records: the present of each privacy request", true, o),
		bucketStream(BucketIdentities, "Vault: personal data, sealed", true, o),
	)
}

// EnsureCallback creates or updates what the callback service owns: the halts.
func EnsureCallback(ctx context.Context, js jetstream.JetStream, o Options) error {
	return ensure(ctx, js, bucketStream(BucketHalted, "Halts: what waits to be resumed", true, o))
}

// EnsureConfig creates or updates what the config service owns: the catalog.
func EnsureConfig(ctx context.Context, js jetstream.JetStream, o Options) error {
	return ensure(ctx, js, bucketStream(BucketConfig, "Catalog: connections, policies, clients, settings", false, o))
}

func ensure(ctx context.Context, js jetstream.JetStream, configs ...jetstream.StreamConfig) error {
	for _, c := range configs {
		if err := ensureStream(ctx, js, c); err != nil {
			return fmt.Errorf("topology: stream %s: %w", c.Name, err)
		}
	}
	return nil
}

// ensureStream creates the stream, or updates it where it exists. Another
// replica may create it between our update and our create, with the settings
// of another version; then our update is next.
func ensureStream(ctx context.Context, js jetstream.JetStream, c jetstream.StreamConfig) error {
	_, err := js.CreateOrUpdateStream(ctx, c)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		_, err = js.UpdateStream(ctx, c)
	}
	return err
}
