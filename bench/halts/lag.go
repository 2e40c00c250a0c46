package main

import (
	"math"
	"slices"
	"sync"
	"time"
)

// lags are times that something took.
type lags struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *lags) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

func (l *lags) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// at is the time that the given part of them took at most, in milliseconds.
func (l *lags) at(part float64) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l.all))
	i := int(math.Ceil(part*float64(len(sorted)))) - 1
	return float64(sorted[max(i, 0)].Microseconds()) / 1000
}
