package rest_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/parley-dsr/parley/services/orchestrator/internal/rest"
)

func TestLimit(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	limit := rest.NewLimit(60, func() time.Time { return now })
	here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i, step := range []struct {
		after time.Duration
		addr  netip.Addr
		n     int
		wait  time.Duration
	}{
		{0, here, 50, 0},
		{0, here, 10, 0},
		{0, here, 1, time.Second},
		{0, netip.MustParseAddr("::ffff:192.0.2.1"), 1, time.Second}, // the same
		{0, there, 1, 0},
		{10 * time.Second, here, 50, 40 * time.Second}, // a refusal uses up nothing
		{0, here, 10, 0},
		{time.Hour, here, 90, 0}, // longer than a minute's worth
		{0, here, 1, 31 * time.Second},
		{31 * time.Second, here, 1, 0},
		{0, here, 90, time.Minute},
		{0, netip.MustParseAddr("2001:db8::1"), 60, 0},
		{0, netip.MustParseAddr("2001:db8::ffff:2"), 1, time.Second}, // its neighbour
		{0, netip.MustParseAddr("2001:db8:0:1::1"), 1, 0},
	} {
		now = now.Add(step.after)
		if wait := limit.Take(step.addr, step.n); wait.Round(time.Millisecond) != step.wait {
			t.Errorf("step %d: wait %s, want %s", i, wait, step.wait)
		}
	}
	if wait := rest.NewLimit(0, time.Now).Take(here, 1_000_000); wait != 0 {
		t.Errorf("no limit: wait %s", wait)
	}
}
