package events

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The mark is the last handled sequence, written into the durable consumer's
// metadata; see resumeAt for why. It is written when the subscriber has nothing
// to do, when it ends, and now and then while it is busy.
const (
	markKey   = "parley-seen"
	markCheck = time.Second
	markBusy  = 10 * time.Second
)

// markOf reads the mark; a consumer that was just made has none.
func markOf(metadata map[string]string) (seen uint64, marked bool) {
	n, err := strconv.ParseUint(metadata[markKey], 10, 64)
	return n, err == nil
}

// keepMark keeps the mark up to date until the returned function is called. The
// first is written before a fact is handled: without one, the floor would count
// after a crash.
func (s *subscriber) keepMark(ctx context.Context) (stop func()) {
	if s.Durable == "" || !s.all() {
		return func() {}
	}
	s.mark(ctx)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.markOften(ctx)
	}()
	return func() {
		cancel()
		<-done
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		s.mark(last)
	}
}

func (s *subscriber) markOften(ctx context.Context) {
	ticker := time.NewTicker(markCheck)
	defer ticker.Stop()
	before, _ := s.position.known()
	marked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			handled, _ := s.position.known()
			idle := handled == before
			before = handled
			if idle || now.Sub(marked) >= markBusy {
				s.mark(ctx)
				marked = now
			}
		}
	}
}

// mark writes the mark, if it would say something new. It never goes back:
// other subscribers of the durable may be further. A failure is made up for by
// the next mark.
func (s *subscriber) mark(ctx context.Context) {
	handled, _ := s.position.known()
	if s.hasMark && handled == s.marked || !s.js.Conn().IsConnected() {
		return
	}
	info, err := s.consumer.Info(ctx)
	if err != nil {
		return
	}
	if seen, marked := markOf(info.Config.Metadata); !marked || seen < handled {
		config := info.Config
		config.Metadata = withMark(config, handled)
		if _, err := s.stream.UpdateConsumer(ctx, config); err != nil {
			return
		}
	}
	s.marked, s.hasMark = handled, true
}

func withMark(config jetstream.ConsumerConfig, handled uint64) map[string]string {
	metadata := make(map[string]string, len(config.Metadata)+1)
	for k, v := range config.Metadata {
		metadata[k] = v
	}
	metadata[markKey] = strconv.FormatUint(handled, 10)
	return metadata
}

// leave takes the consumer away that nobody will come back to, and sees that
// the last acknowledgements are on their way.
func (s *subscriber) leave() {
	if !s.js.Conn().IsConnected() {
		return
	}
	if s.Durable == "" && s.name != "" {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = s.stream.DeleteConsumer(ctx, s.name)
	}
	_ = s.js.Conn().FlushTimeout(2 * time.Second)
}
