// Package inbox is how those who take requests over HTTP give inputs to the
// orchestrator and learn what became of them. An input, a command or a fact, is
// published with the address at which its sender waits, and the transition loop
// answers there, in this process or in another.
//
// An input is durable once it is published: a caller that stops waiting learns
// nothing, but the input will be applied. So an error says what is known of it:
// not stored, perhaps stored, or stored and not answered.
//
// All answers come to one subscription that is made once, so that no answer can
// overtake, in a cluster, the news that somebody listens for it.
package inbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/stored"
	"github.com/parley-dsr/parley/internal/work"
)

// Patience is how long a caller usually waits for the answer, and as long at
// most for the input to be stored.
const Patience = 5 * time.Second

// Inbox takes the answers of all callers of a process.
type Inbox struct {
	js       jetstream.JetStream
	prefix   string
	patience time.Duration
	sub      *nats.Subscription

	mu      sync.Mutex
	callers map[string]chan work.Answer
}

// Open subscribes; Close, or the end of the connection, ends it. Patience is the
// usual one where it is 0.
func Open(nc *nats.Conn, js jetstream.JetStream, patience time.Duration) (*Inbox, error) {
	if patience == 0 {
		patience = Patience
	}
	i := &Inbox{js: js, prefix: nc.NewInbox() + ".", patience: patience, callers: map[string]chan work.Answer{}}
	sub, err := nc.Subscribe(i.prefix+"*", i.deliver)
	if err != nil {
		return nil, fmt.Errorf("inbox: subscribe: %w", err)
	}
	i.sub = sub
	return i, nil
}

// Close ends the subscription.
func (i *Inbox) Close() error {
	if err := i.sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("inbox: %w", err)
	}
	return nil
}

// Ask publishes an input, to which it adds where the answer goes, and waits for
// the answer.
func (i *Inbox) Ask(ctx context.Context, input *nats.Msg, options ...jetstream.PublishOpt) (work.Answer, error) {
	name, answers := i.expect()
	defer i.forget(name)
	if input.Header == nil {
		input.Header = nats.Header{}
	}
	input.Header.Set(work.HeaderReply, i.prefix+name)
	// A caller that goes away now would leave in doubt whether it is stored.
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), i.patience)
	defer cancel()
	if _, err := i.js.PublishMsg(storing, input, options...); err != nil {
		return work.Answer{}, fmt.Errorf("%w: %w", unstored(err), err)
	}
	waiting, done := context.WithTimeout(ctx, i.patience)
	defer done()
	select {
	case answer := <-answers:
		return answer, nil
	case <-waiting.Done():
		return work.Answer{}, fmt.Errorf("%w: %w", ErrNoAnswer, context.Cause(waiting))
	}
}

// unstored says what is known of an input whose publish failed. What was sent
// may be stored without our being told: the answer was lost, or the input waits
// in the connection for the server to come back.
func unstored(err error) error {
	for _, unknown := range []error{context.DeadlineExceeded, context.Canceled, nats.ErrTimeout} {
		if errors.Is(err, unknown) {
			return ErrUnconfirmed
		}
	}
	return ErrNotStored
}

func (i *Inbox) expect() (string, <-chan work.Answer) {
	name, answers := rand.Text(), make(chan work.Answer, 1)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.callers[name] = answers
	return name, answers
}

func (i *Inbox) forget(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.callers, name)
}

// deliver hands an answer to its caller. One that nobody waits for any more is
// dropped; of one that is repeated the first counts.
func (i *Inbox) deliver(m *nats.Msg) {
	i.mu.Lock()
	answers := i.callers[strings.TrimPrefix(m.Subject, i.prefix)]
	i.mu.Unlock()
	if answers == nil {
		return
	}
	var answer work.Answer
	if err := stored.Decode(m.Data, &answer); err != nil {
		return // the caller's wait ends by itself
	}
	select {
	case answers <- answer:
	default:
	}
}
