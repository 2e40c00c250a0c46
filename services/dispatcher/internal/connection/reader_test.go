package connection

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/parley-dsr/parley/internal/catalog"
)

// slow is a store whose reads end when the test says so. Each answers with the
// state at the moment at which it began.
type slow struct {
	mu    sync.Mutex
	state string
	began chan struct{}
	end   chan error
}

func (s *slow) set(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

func (s *slow) Connection(_ context.Context, id string) (catalog.Connection, error) {
	s.mu.Lock()
	c := catalog.Connection{ID: id, Name: s.state}
	s.mu.Unlock()
	s.began <- struct{}{}
	return c, <-s.end
}

type answer struct {
	name string
	err  error
}

func ask(ctx context.Context, r *Reader) <-chan answer {
	asked := r.join(ctx, "con_1")
	got := make(chan answer, 1)
	go func() {
		select {
		case <-asked.ended:
			got <- answer{asked.connection.Name, asked.err}
		case <-ctx.Done():
			got <- answer{err: ctx.Err()}
		}
	}()
	return got
}

// Who asks after a change sees it, also while a read from before it is under
// way; all who wait meanwhile share one read.
func TestNobodyGetsAnOldAnswer(t *testing.T) {
	t.Parallel()
	store := &slow{state: "old", began: make(chan struct{}), end: make(chan error)}
	reader := NewReader(store)
	first := ask(t.Context(), reader)
	<-store.began
	store.set("new")
	var later []<-chan answer
	for range 10 {
		later = append(later, ask(t.Context(), reader))
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
	store.set("newer")
	last := ask(t.Context(), reader)
	<-store.began
	store.end <- catalog.ErrNotFound
	if got := <-last; !errors.Is(got.err, catalog.ErrNotFound) {
		t.Errorf("the last read: %+v", got)
	}
}

func TestReadsOfOtherConnectionsDoNotWait(t *testing.T) {
	t.Parallel()
	store := &slow{began: make(chan struct{}), end: make(chan error)}
	reader := NewReader(store)
	one, two := reader.join(t.Context(), "con_1"), reader.join(t.Context(), "con_2")
	<-store.began
	<-store.began
	store.end <- nil
	store.end <- nil
	<-one.ended
	<-two.ended
	if one.connection.ID != "con_1" || two.connection.ID != "con_2" {
		t.Errorf("got %q and %q", one.connection.ID, two.connection.ID)
	}
}

func TestOneWhoGivesUpTakesNothingFromOthers(t *testing.T) {
	t.Parallel()
	store := &slow{state: "here", began: make(chan struct{}), end: make(chan error)}
	reader := NewReader(store)
	hasty, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() {
		_, err := reader.Connection(hasty, "con_1")
		gaveUp <- err
	}()
	<-store.began
	patient := ask(t.Context(), reader)
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
}
