package transition

import (
	"context"
	"hash/maphash"
	"sync"
)

const shardQueue = 8

// shards hands messages to workers, those of one request always to the same
// one, so that they are handled one after the other and in order.
type shards struct {
	seed   maphash.Seed
	queues []chan message
	wg     sync.WaitGroup
}

func newShards(n int, handle func(message)) *shards {
	s := &shards{seed: maphash.MakeSeed(), queues: make([]chan message, n)}
	for i := range s.queues {
		queue := make(chan message, shardQueue)
		s.queues[i] = queue
		s.wg.Go(func() {
			for m := range queue {
				handle(m)
			}
		})
	}
	return s
}

// put waits for room in the queue of the message's request. It says false if
// ctx ended first.
func (s *shards) put(ctx context.Context, m message) bool {
	queue := s.queues[maphash.String(s.seed, m.delivery.RequestID)%uint64(len(s.queues))]
	select {
	case queue <- m:
		return true
	case <-ctx.Done():
		return false
	}
}

// drain returns when everything that was put is handled. Nothing may be put
// any more.
func (s *shards) drain() {
	for _, queue := range s.queues {
		close(queue)
	}
	s.wg.Wait()
}
