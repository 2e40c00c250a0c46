package lane

import (
	"testing"
	"time"
)

func TestPauseAfter(t *testing.T) {
	t.Parallel()
	const shortest = 5 * time.Second
	for _, test := range []struct {
		took   time.Duration
		looked bool
		want   time.Duration
	}{
		{time.Millisecond, true, shortest},
		{time.Second, true, 20 * time.Second},
		{15 * time.Second, true, longestSweep},
		{30 * time.Second, false, shortest},
	} {
		if got := pauseAfter(shortest, test.took, test.looked); got != test.want {
			t.Errorf("after a look of %s (seen: %t) a pause of %s, want %s", test.took, test.looked, got, test.want)
		}
	}
}
