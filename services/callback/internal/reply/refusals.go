package reply

import (
	"net/netip"
	"sync"
	"time"
)

const (
	refusalsWindow = time.Minute
	// addressesAtMost bounds the memory; beyond it nobody new is counted.
	addressesAtMost = 100_000
)

// refusals counts refused replies by address, in windows of fixed length.
type refusals struct {
	atMost int // of one address within a window are told why

	mu   sync.Mutex
	end  time.Time // of the window
	seen map[netip.Addr]int
}

func newRefusals(atMost int) *refusals {
	return &refusals{atMost: atMost, seen: map[netip.Addr]int{}}
}

// count counts one more refusal. Where it is one too many, wait is the rest of
// the window.
func (r *refusals) count(addr netip.Addr, now time.Time) (wait time.Duration, tooMany bool) {
	addr = network(addr)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !now.Before(r.end) {
		r.end = now.Add(refusalsWindow)
		clear(r.seen)
	}
	if _, known := r.seen[addr]; !known && len(r.seen) >= addressesAtMost {
		return 0, false
	}
	r.seen[addr]++
	return r.end.Sub(now), r.seen[addr] > r.atMost
}

// network is what one sender has of IPv6: a /64.
func network(addr netip.Addr) netip.Addr {
	if !addr.Is6() {
		return addr
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return addr
	}
	return prefix.Addr()
}
