package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress says on a line of its own, now and then, how far something is.
type progress struct {
	out  io.Writer
	what string
	of   int

	mu   sync.Mutex
	said time.Time
}

// every is how often progress is said.
const every = 5 * time.Second

func newProgress(out io.Writer, what string, of int) *progress {
	_, _ = fmt.Fprintf(out, "%s: %d\n", what, of)
	return &progress{out: out, what: what, of: of, said: time.Now()}
}

// at says that n are done.
func (p *progress) at(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.said) < every {
		return
	}
	p.said = time.Now()
	_, _ = fmt.Fprintf(p.out, "%s: %d of %d\n", p.what, n, p.of)
}
