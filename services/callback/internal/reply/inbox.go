package reply

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// patience is how long a caller waits for the orchestrator's word, and as long
// at most for the fact to be stored.
const patience = 5 * time.Second

// Inbox is the Orchestrator over NATS: it publishes facts and takes the answers
// to them. All answers come to one subscription that is made once, so that no
// answer can overtake the news, in a cluster, that someone listens for it.
type Inbox struct {
	js       jetstream.JetStream
	prefix   string
	patience time.Duration
	sub      *nats.Subscription

	mu      sync.Mutex
	waiting map[string]chan work.Answer
}

// OpenInbox subscribes; Close ends it.
func OpenInbox(nc *nats.Conn, js jetstream.JetStream) (*Inbox, error) {
	i := &Inbox{js: js, prefix: nc.NewInbox() + ".", patience: patience, waiting: map[string]chan work.Answer{}}
	sub, err := nc.Subscribe(i.prefix+"*", i.deliver)
	if err != nil {
		return nil, fmt.Errorf("reply: inbox: %w", err)
	}
	i.sub = sub
	return i, nil
}

// Close ends the subscription.
func (i *Inbox) Close() error {
	if err := i.sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("reply: inbox: %w", err)
	}
	return nil
}

// Ask implements Orchestrator.
func (i *Inbox) Ask(ctx context.Context, fact events.Event) (work.Answer, error) {
	msg, err := events.Encode(fact)
	if err != nil {
		return work.Answer{}, fmt.Errorf("%w: %w", ErrNotStored, err)
	}
	name, answers := i.expect()
	defer i.forget(name)
	msg.Header.Set(work.HeaderReply, i.prefix+name)
	// A caller that goes away now would leave in doubt whether it is stored.
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), i.patience)
	defer cancel()
	if _, err := i.js.PublishMsg(storing, msg); err != nil {
		return work.Answer{}, fmt.Errorf("%w: %w", ErrNotStored, err)
	}
	timer := time.NewTimer(i.patience)
	defer timer.Stop()
	select {
	case answer := <-answers:
		return answer, nil
	case <-timer.C:
		return work.Answer{}, ErrNoAnswer
	case <-ctx.Done():
		return work.Answer{}, fmt.Errorf("%w: %w", ErrNoAnswer, ctx.Err())
	}
}

func (i *Inbox) expect() (string, <-chan work.Answer) {
	name, answers := nonce(), make(chan work.Answer, 1)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waiting[name] = answers
	return name, answers
}

func (i *Inbox) forget(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.waiting, name)
}

// deliver hands an answer to the one who waits. An answer may be repeated; the
// first one counts.
func (i *Inbox) deliver(m *nats.Msg) {
	var answer work.Answer
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return // whoever waits is told that the reply is not confirmed
	}
	i.mu.Lock()
	answers := i.waiting[strings.TrimPrefix(m.Subject, i.prefix)]
	i.mu.Unlock()
	if answers == nil {
		return
	}
	select {
	case answers <- answer:
	default:
	}
}

// nonce is a name that is given once.
func nonce() string { return rand.Text() }
