package process

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWithin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, release := time.Now(), make(chan struct{})
		Within(time.Minute, func() { time.Sleep(time.Second) }) //nolint:forbidigo // the clock is the bubble's
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s, want as long as the end", took)
		}
		Within(time.Minute, func() { <-release })
		if took := time.Since(began); took != time.Minute+time.Second {
			t.Errorf("both took %s, want no longer than the limit", took)
		}
		close(release)
	})
}
