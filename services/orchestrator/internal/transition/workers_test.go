package transition

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
)

func about(request string, number uint64) message {
	return message{delivery: Delivery{RequestID: request}, renewed: number}
}

func TestWorkersKeepTheOrderOfARequest(t *testing.T) {
	t.Parallel()
	const requests, each = 20, 50
	var mu sync.Mutex
	handled := map[string][]uint64{}
	inHand := map[string]bool{}
	w := newWorkers(8, func(m message) {
		id := m.delivery.RequestID
		mu.Lock()
		if inHand[id] {
			t.Errorf("two messages of %s at once", id)
		}
		inHand[id] = true
		handled[id] = append(handled[id], m.renewed)
		mu.Unlock()
		runtime.Gosched()
		mu.Lock()
		inHand[id] = false
		mu.Unlock()
	})
	for n := range uint64(each) {
		for r := range requests {
			if !w.put(t.Context(), about(fmt.Sprint(r), n)) {
				t.Fatal("a message was not taken")
			}
		}
	}
	w.drain()
	for r := range requests {
		got := handled[fmt.Sprint(r)]
		if len(got) != each {
			t.Fatalf("request %d: %d of %d were handled", r, len(got), each)
		}
		for i, n := range got {
			if uint64(i) != n { //nolint:gosec // small
				t.Fatalf("request %d: handled %v", r, got)
			}
		}
	}
}

// One request that takes long, and whose messages gather, keeps no other waiting.
func TestWorkersLeaveNoOtherWaiting(t *testing.T) {
	t.Parallel()
	release, handled := make(chan struct{}), make(chan string, 100)
	w := newWorkers(2, func(m message) {
		if m.delivery.RequestID == "slow" {
			<-release
		}
		handled <- m.delivery.RequestID
	})
	for n := range uint64(10) {
		w.put(t.Context(), about("slow", n))
	}
	for i := range 10 {
		w.put(t.Context(), about(fmt.Sprint(i), 0))
		if id := <-handled; id != fmt.Sprint(i) {
			t.Fatalf("%s was handled", id)
		}
	}
	close(release)
	w.drain()
	if n := len(handled); n != 10 {
		t.Errorf("of the slow request %d were handled", n)
	}
}

func TestWorkersThatAreAllBusyTakeNothing(t *testing.T) {
	t.Parallel()
	release, begun := make(chan struct{}), make(chan struct{}, 2)
	w := newWorkers(1, func(message) {
		begun <- struct{}{}
		<-release
	})
	w.put(t.Context(), about("a", 0))
	<-begun
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if w.put(ended, about("b", 0)) {
		t.Error("a message was taken that nobody can handle")
	}
	close(release)
	if !w.put(t.Context(), about("b", 0)) {
		t.Error("a message was not taken")
	}
	w.drain()
	if len(begun) != 1 {
		t.Errorf("%d were handled after the first", len(begun))
	}
}
