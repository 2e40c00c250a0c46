package call

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher/internal/reply"
)

// A store that is full for a while does not let a call be made again.
func TestInsist(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		away    time.Duration
		succeed bool
	}{
		"a moment": {time.Second, true},
		"a while":  {insistFor - longestPause, true},
		"for ever": {24 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := insist(t.Context(), func() error {
					if time.Since(began) < test.away {
						return errAway
					}
					return nil
				})
				if (err == nil) != test.succeed {
					t.Errorf("%v after %s", err, time.Since(began))
				}
			})
		})
	}
}

func TestInsistEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	err := insist(ctx, func() error {
		cancel()
		return errAway
	})
	if !errors.Is(err, errAway) {
		t.Errorf("got %v", err)
	}
}

// full takes an identity at the third try.
type full struct {
	Vault
	tries int
	keys  map[string]bool
}

func (f *full) Stage(_ context.Context, key string, _ identity.Identity, _ time.Duration) error {
	f.keys[key] = true
	if f.tries++; f.tries < 3 {
		return errAway
	}
	return nil
}

func TestAnAnswerOutlastsAVaultThatIsAway(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	vault := &full{keys: map[string]bool{}}
	c := New(Config{
		JetStream: js, Vault: vault, Clock: time.Now, Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
	email := "jane@example.com"
	err := c.end(t.Context(), work.Call{
		CallID: "pri_1_call", RequestID: "pri_1", Phase: record.Pre, Attempt: 1, Webhook: record.Webhook{Direction: record.TwoWay},
	}, result{outcome: events.OutcomeOK, answer: reply.Answer{Derived: identity.Identity{Email: &email}}})
	if err != nil || vault.tries != 3 || len(vault.keys) != 1 {
		t.Errorf("%v after %d tries under %d keys", err, vault.tries, len(vault.keys))
	}
}
