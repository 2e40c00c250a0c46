package transition_test

import (
	"encoding/json"
	"testing"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// A server may come back with an older store. Its stream then ends earlier; or
// as late, since others have written meanwhile, but without what was written
// last.
func TestABucketThatHasForgottenIsNoticed(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(b *bench){
		"the stream is gone": func(b *bench) {
			must(t, b.js.DeleteStream(t.Context(), b.requests.StreamName()))
		},
		"the stream ends earlier": func(b *bench) {
			must(t, b.js.DeleteStream(t.Context(), b.requests.StreamName()))
			must(t, topology.EnsureOrchestrator(t.Context(), b.js, topology.Options{}))
		},
		"others have written": func(b *bench) {
			older := b.record("pri_1")
			older.Revision--
			value, err := json.Marshal(older)
			must(t, err)
			_, err = b.requests.Put(t.Context(), older.ID, value, 0)
			must(t, err)
		},
		"another record has the revision": func(b *bench) {
			other := b.record("pri_1")
			other.Epoch = "other"
			value, err := json.Marshal(other)
			must(t, err)
			_, err = b.requests.Put(t.Context(), other.ID, value, 0)
			must(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			b.policy([]record.Webhook{hook("first", record.TwoWay)}, nil)
			b.run()
			b.submit("pri_1")
			b.facts.await(events.WebhookRequested, "pri_1")
			if gone, err := b.loop.Forgotten(t.Context()); err != nil || gone {
				t.Fatalf("nothing was lost: %t, %v", gone, err)
			}
			forget(b)
			if gone, err := b.loop.Forgotten(t.Context()); err != nil || !gone {
				t.Errorf("something was lost: %t, %v", gone, err)
			}
			must(t, topology.EnsureOrchestrator(t.Context(), b.js, topology.Options{}))
			if gone, err := b.loop.Forgotten(t.Context()); err != nil || gone {
				t.Errorf("it was noticed already: %t, %v", gone, err)
			}
		})
	}
}
