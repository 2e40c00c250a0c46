package halt

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  error
		want verdict
	}{
		{nil, done},
		{errMessage, giveUp},
		{fmt.Errorf("%w: %w", errMessage, events.ErrEvent), giveUp},
		{nats.ErrTimeout, again},
		{events.ErrNotStored, again},
		{topology.ErrConflict, again},
		{errors.New("anything else"), again},
	}
	for _, tt := range tests {
		if got := verdictOf(tt.err); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for delivered, want := range map[uint64]time.Duration{
		0: 250 * time.Millisecond, 1: 250 * time.Millisecond, 2: 500 * time.Millisecond, 5: 4 * time.Second,
		8: longest, 1000: longest,
	} {
		if got := backoff(delivered); got != want {
			t.Errorf("after %d deliveries: %s, want %s", delivered, got, want)
		}
	}
}
