package rest

import (
	"context"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/parley-dsr/parley/internal/edge"
)

// addressesAtMost bounds the memory; beyond it addresses that may submit all
// that they may are forgotten, and then all.
const addressesAtMost = 50_000

// Limit is how many requests one client address may submit in a minute without
// credentials. What was used comes back evenly. Up to a minute's worth may come
// at once; a list that is longer than that is taken when nothing was submitted
// for a minute, and is made up for afterwards.
type Limit struct {
	perMinute float64 // 0: no limit
	clock     func() time.Time

	mu        sync.Mutex
	addresses map[netip.Addr]allowance
}

// allowance is what an address might submit at a moment; below zero after a
// long list.
type allowance struct {
	left float64
	at   time.Time
}

// NewLimit returns a limit; 0 is none.
func NewLimit(perMinute int, clock func() time.Time) *Limit {
	return &Limit{perMinute: float64(perMinute), clock: clock, addresses: map[netip.Addr]allowance{}}
}

// Take counts n submissions of an address. Where these are too many it counts
// nothing and says when they would not be.
func (l *Limit) Take(addr netip.Addr, n int) (wait time.Duration) {
	if l == nil || l.perMinute <= 0 || !addr.IsValid() || n <= 0 {
		return 0
	}
	addr, now := networkOf(addr), l.clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.leftAt(addr, now)
	needed := math.Min(float64(n), l.perMinute)
	if left < needed {
		return time.Duration((needed - left) / l.perMinute * float64(time.Minute))
	}
	l.makeRoom(now)
	l.addresses[addr] = allowance{left: left - float64(n), at: now}
	return 0
}

func (l *Limit) leftAt(addr netip.Addr, now time.Time) float64 {
	a, known := l.addresses[addr]
	if !known {
		return l.perMinute
	}
	return math.Min(l.perMinute, a.left+now.Sub(a.at).Minutes()*l.perMinute)
}

func (l *Limit) makeRoom(now time.Time) {
	if len(l.addresses) < addressesAtMost {
		return
	}
	for addr := range l.addresses {
		if l.leftAt(addr, now) >= l.perMinute {
			delete(l.addresses, addr)
		}
	}
	if len(l.addresses) >= addressesAtMost {
		clear(l.addresses)
	}
}

// networkOf counts the whole /64 of IPv6, which one customer has, as one.
func networkOf(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if addr.Is6() {
		if network, err := addr.Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return addr
}

// admit counts what a caller without credentials submits; the error is 429. API
// clients are known, and not counted.
func (s *Server) admit(ctx context.Context, n int) error {
	if edge.PrincipalFrom(ctx).ClientID != "" {
		return nil
	}
	if wait := s.Submissions.Take(originFrom(ctx).addr, n); wait > 0 {
		return edge.TooMany(wait, "Too many privacy requests were submitted from this address.")
	}
	return nil
}
