package transition

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/topology"
)

func TestTheErrorDecides(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want verdict
	}{
		"done":                {nil, verdictAck},
		"unreadable":          {fmt.Errorf("%w: x", errUnreadable), verdictDrop},
		"unwritable":          {fmt.Errorf("%w: x", errUnwritable), verdictDrop},
		"the process ends":    {fmt.Errorf("x: %w", context.Canceled), verdictRelease},
		"no answer in time":   {context.DeadlineExceeded, verdictRetry},
		"always a conflict":   {fmt.Errorf("%w: x", errContended), verdictRetry},
		"an unexpected error": {errors.New("x"), verdictRetry},
		"a conflict":          {topology.ErrConflict, verdictRetry},
	} {
		if got := judge(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestPausesGrowToALimit(t *testing.T) {
	t.Parallel()
	for deliveries, want := range map[uint64]time.Duration{
		0: 100 * time.Millisecond, 1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: 1600 * time.Millisecond,
		10: 30 * time.Second, 20: 30 * time.Second, 21: 30 * time.Second, 1000: 30 * time.Second,
	} {
		if got := pause(deliveries); got != want {
			t.Errorf("after %d deliveries: %v, want %v", deliveries, got, want)
		}
	}
}
