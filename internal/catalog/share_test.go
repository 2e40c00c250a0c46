package catalog

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// slow reads what ends when the test says so. Each read answers with the state
// at the moment at which it began.
type slow struct {
	mu    sync.Mutex
	state string
	began chan struct{}
	end   chan error
}

func newSlow(state string) *slow {
	return &slow{state: state, began: make(chan struct{}), end: make(chan error)}
}

func (s *slow) set(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

func (s *slow) read(_ context.Context, key string) (Connection, error) {
	s.mu.Lock()
	c := Connection{ID: key, Name: s.state}
	s.mu.Unlock()
	s.began <- struct{}{}
	return c, <-s.end
}

type answer struct {
	name string
	err  error
}

func ask(ctx context.Context, s *shared[Connection]) <-chan answer {
	wait := s.ask(ctx, "con_1")
	got := make(chan answer, 1)
	go func() {
		c, err := wait()
		got <- answer{c.Name, err}
	}()
	return got
}

// Who asks after a change sees it, also while a read from before it is under
// way; all who wait meanwhile share one read.
func TestNobodyGetsAnOldAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newSlow("old")
		reads := share(store.read)
		first := ask(t.Context(), reads)
		<-store.began
		store.set("new")
		var later []<-chan answer
		for range 10 {
			later = append(later, ask(t.Context(), reads))
		}
		store.end <- nil
		if got := <-first; got.name != "old" || got.err != nil {
			t.Errorf("the first read: %+v", got)
		}
		<-store.began
		store.end <- nil
		for _, got := range later {
			if got := <-got; got.name != "new" || got.err != nil {
				t.Errorf("a read after the change: %+v", got)
			}
		}
		// Nothing is kept.
		synctest.Wait()
		store.set("newer")
		last := ask(t.Context(), reads)
		<-store.began
		store.end <- ErrNotFound
		if got := <-last; !errors.Is(got.err, ErrNotFound) {
			t.Errorf("the last read: %+v", got)
		}
	})
}

func TestReadsOfOtherKeysDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newSlow("")
		reads := share(store.read)
		one, two := reads.ask(t.Context(), "con_1"), reads.ask(t.Context(), "con_2")
		<-store.began
		<-store.began
		store.end <- nil
		store.end <- nil
		first, _ := one()
		second, _ := two()
		if first.ID != "con_1" || second.ID != "con_2" {
			t.Errorf("got %q and %q", first.ID, second.ID)
		}
	})
}

func TestOneWhoGivesUpTakesNothingFromOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newSlow("here")
		reads := share(store.read)
		hasty, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() {
			_, err := reads.get(hasty, "con_1")
			gaveUp <- err
		}()
		<-store.began
		patient := ask(t.Context(), reads)
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("gave up with %v", err)
		}
		store.end <- nil
		<-store.began
		store.end <- nil
		if got := <-patient; got.name != "here" || got.err != nil {
			t.Errorf("the other: %+v", got)
		}
	})
}

// An answer that is lost keeps those who wait for the next one only for a while,
// and then nothing of it is left.
func TestALostAnswerIsOvertaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newSlow("old")
		reads := share(store.read)
		lost := ask(t.Context(), reads)
		<-store.began
		store.set("new")
		later := ask(t.Context(), reads)
		<-store.began // though nobody has ended the first
		store.end <- nil
		store.end <- nil
		if got := <-lost; got.name != "old" || got.err != nil {
			t.Errorf("the first: %+v", got)
		}
		if got := <-later; got.name != "new" || got.err != nil {
			t.Errorf("the second: %+v", got)
		}
		synctest.Wait()
		reads.mu.Lock()
		defer reads.mu.Unlock()
		if len(reads.next) != 0 {
			t.Errorf("%d keys are still being read", len(reads.next))
		}
	})
}
