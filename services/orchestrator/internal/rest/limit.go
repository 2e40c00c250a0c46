package rest

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/ratelimiter"

	"github.com/parley-dsr/parley/internal/edge"
)

const (
	// createdAtMost is how many requests one address may submit, without
	// credentials, in createdWithin.
	createdAtMost = 6000
	createdWithin = time.Minute
	// addressesAtMost bounds the memory; what is forgotten begins anew.
	addressesAtMost = 50_000
)

// limits counts what anonymous callers submit, by their address. A program on
// the same machine is not counted.
type limits struct {
	mu        sync.Mutex
	addresses map[netip.Addr]ratelimiter.RateLimiter[any]
}

// take counts n submissions of the caller and says with an error (429) if they
// are too many. API clients are known, and not counted.
func (l *limits) take(ctx context.Context, n int) error {
	addr := originFrom(ctx).addr
	if !addr.IsValid() || addr.IsLoopback() || edge.PrincipalFrom(ctx).ClientID != "" {
		return nil
	}
	if !l.of(addr).TryAcquirePermits(uint(max(n, 1))) {
		return edge.TooMany(createdWithin, "Too many privacy requests were submitted from this address.")
	}
	return nil
}

func (l *limits) of(addr netip.Addr) ratelimiter.RateLimiter[any] {
	if addr.Is6() { // one customer has a whole network
		if network, err := addr.Prefix(64); err == nil {
			addr = network.Addr()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.addresses[addr]
	if !ok {
		if l.addresses == nil || len(l.addresses) >= addressesAtMost {
			l.addresses = map[netip.Addr]ratelimiter.RateLimiter[any]{}
		}
		limiter = ratelimiter.NewBursty[any](createdAtMost, createdWithin)
		l.addresses[addr] = limiter
	}
	return limiter
}
