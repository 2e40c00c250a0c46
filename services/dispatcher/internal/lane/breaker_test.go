package lane

import (
	"testing"
	"testing/synctest"
	"time"
)

// fail reports as many calls that found the receiver down.
func fail(b *breaker, n int) {
	for range n {
		b.begin()(Down)
	}
}

func TestBreakerOpensAfterFailuresInARow(t *testing.T) {
	t.Parallel()
	b := newBreaker(firstCoolDown, longestCoolDown)
	opened := b.openedNow()
	for range 10 {
		fail(b, failuresInARow-1)
		b.begin()(Up)
	}
	fail(b, failuresInARow-1)
	for range 10 {
		b.begin()(Unknown)
	}
	if !b.closed() {
		t.Fatal("open without enough failures in a row")
	}
	fail(b, 1)
	if b.closed() || b.remaining() == 0 {
		t.Fatal("still closed")
	}
	select {
	case <-opened:
	default:
		t.Error("the lane was not told")
	}
}

// The cool-down doubles up to the longest, and begins anew after a success.
func TestBreakerCoolsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(firstCoolDown, longestCoolDown)
		fail(b, failuresInARow)
		for want := firstCoolDown; want < 4*longestCoolDown; want *= 2 {
			nominal := float64(min(want, longestCoolDown))
			wait := b.try()
			if wait < time.Duration(nominal*(1-spread)) || wait > time.Duration(nominal*(1+spread)) {
				t.Errorf("cool-down of %s, want about %s", wait, time.Duration(nominal))
			}
			time.Sleep(wait) //nolint:forbidigo // the clock is the bubble's
			if b.try() != 0 || b.closed() {
				t.Fatal("no trial after the cool-down")
			}
			b.begin()(Unknown)
			if b.try() != 0 || b.closed() {
				t.Fatal("a trial that told nothing ended the trial")
			}
			fail(b, 1)
		}
		time.Sleep(b.try()) //nolint:forbidigo // the clock is the bubble's
		if b.try() != 0 {
			t.Fatal("no trial after the cool-down")
		}
		b.begin()(Up)
		if !b.closed() {
			t.Fatal("open after a trial that succeeded")
		}
		fail(b, failuresInARow)
		if wait := b.try(); wait > time.Duration(float64(firstCoolDown)*(1+spread)) {
			t.Errorf("the next outage begins with %s", wait)
		}
	})
}

// The first calls of a lane may be those that can never succeed: a trial is not
// decided by one of them.
func TestBreakerTriesAnotherCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(firstCoolDown, longestCoolDown)
		for range failuresInARow {
			b.begin()(Broken)
		}
		for range 2 {
			wait := b.try()
			if wait == 0 || b.closed() {
				t.Fatal("not open")
			}
			time.Sleep(wait) //nolint:forbidigo // the clock is the bubble's
			for range brokenAtMost {
				if b.try() != 0 {
					t.Fatal("the trial is over")
				}
				b.begin()(Broken)
			}
		}
		time.Sleep(b.try()) //nolint:forbidigo // the clock is the bubble's
		b.try()
		b.begin()(Broken)
		b.begin()(Up)
		if !b.closed() {
			t.Error("open although a call of the trial succeeded")
		}
	})
}

// What a call tells that began before the breaker changed does not count.
func TestBreakerIgnoresStragglers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(firstCoolDown, longestCoolDown)
		early, another := b.begin(), b.begin()
		fail(b, failuresInARow)
		early(Up)
		if b.closed() {
			t.Fatal("closed by a call of before")
		}
		time.Sleep(b.try()) //nolint:forbidigo // the clock is the bubble's
		b.try()
		trial := b.begin()
		another(Down)
		if b.try() != 0 {
			t.Fatal("the trial was decided by a call of before")
		}
		trial(Up)
		if !b.closed() {
			t.Fatal("the trial did not count")
		}
	})
}
