//go:build faults

package rounds

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/invariants"
	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/internal/record"
)

// What the persons of a round have in common: it stands nowhere else.
const (
	canary       = "canary-rounds-q7zx"
	derivedPhone = "+15550192837"
	phoneCanary  = "5550192837"
)

// book is what the receiver remembers.
type book struct {
	mu    sync.Mutex
	calls []invariants.Call
	// answers are the number of answers to a call; firsts the first call of
	// each request.
	answers map[string]int
	firsts  map[string]string
	mended  bool // what failed until it was mended
}

func newBook() *book {
	return &book{answers: map[string]int{}, firsts: map[string]string{}}
}

// answer is the called systems. What a call is answered follows from the kind of
// its request and from what was answered before.
func (rd *round) answer(ctx context.Context) func(receiver.Call) receiver.Answer {
	return func(c receiver.Call) receiver.Answer {
		p, err := c.Payload()
		id, parseErr := record.ParseCallID(c.WebhookID())
		if err != nil || parseErr != nil {
			rd.note("a call cannot be read: %v %v", err, parseErr)
			return receiver.Status(http.StatusBadRequest)
		}
		policy, _ := p.PrivacyRequest["policy"].(map[string]any)
		kind, _ := policy["key"].(string)
		seen := invariants.Call{
			WebhookID: c.WebhookID(), RequestID: id.RequestID, Direction: p.Direction, At: c.At, Identity: texts(p.Identity),
		}
		answer := rd.decide(ctx, c, kind, id, &seen)
		rd.book.mu.Lock()
		rd.book.calls = append(rd.book.calls, seen)
		rd.book.mu.Unlock()
		return answer
	}
}

// texts are the fields of an identity that have a text.
func texts(identity map[string]any) map[string]string {
	all := map[string]string{}
	for field, value := range identity {
		if text, ok := value.(string); ok {
			all[field] = text
		}
	}
	return all
}

func (rd *round) decide(ctx context.Context, c receiver.Call, kind string, id record.CallID, seen *invariants.Call) receiver.Answer {
	if f := rd.outage.Load(); f != nil && f.target == c.Path {
		if f.what == refuse {
			return receiver.Answer{Drop: true}
		}
		seen.Status = http.StatusServiceUnavailable
		return receiver.Status(seen.Status)
	}
	if id.WebhookPhase() == record.PreApproval {
		seen.Status = http.StatusOK
		rd.clients.Go(func() { rd.reply(ctx, c, id.RequestID, kind != deny) })
		return receiver.Continue()
	}
	number, isFirst, mended := rd.book.turn(c.WebhookID(), kind+id.Target+id.RequestID)
	seen.Status = http.StatusOK
	at := kind + " " + string(id.WebhookPhase()) + " " + c.Path
	switch {
	case at == "broken pre /two" && !mended, at == "unheard pre /one", at == "flaky pre /three" && number == 1:
		seen.Status = http.StatusInternalServerError
		return receiver.Status(seen.Status)
	case at == "derive pre /two":
		seen.Derived = map[string]string{"phone_number": derivedPhone}
		return receiver.Derive(object{"phone_number": derivedPhone})
	case at == "expire pre /three" && isFirst:
		seen.Halt = true
		return receiver.Halt()
	case at == "halt pre /two":
		return rd.halted(ctx, c, id.RequestID, seen)
	case at == "cancel pre /four":
		rd.clients.Go(func() { rd.cancel(ctx, id.RequestID) })
		held, release := context.WithTimeout(ctx, 100*time.Millisecond)
		_ = release // it ends with its time
		return receiver.Continue().Until(held.Done())
	}
	return receiver.Continue()
}

// turn counts the answers to a call, and says whether it is the first call of
// its webhook.
func (b *book) turn(webhookID, of string) (number int, isFirst, mended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers[webhookID]++
	if b.firsts[of] == "" {
		b.firsts[of] = webhookID
	}
	return b.answers[webhookID], b.firsts[of] == webhookID, b.mended
}

func (b *book) mend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mended = true
}

// halted halts and resumes as soon as the answer is sent. A call that comes
// again is resumed again: the first resume may have been refused.
func (rd *round) halted(ctx context.Context, c receiver.Call, requestID string, seen *invariants.Call) receiver.Answer {
	seen.Halt = true
	seen.Derived = map[string]string{"phone_number": derivedPhone}
	answer := receiver.DeriveAndHalt(object{"phone_number": derivedPhone})
	email := fmt.Sprintf("%s-resumed-%s@example.org", canary, strings.TrimPrefix(requestID, "pri_")[:8])
	answer.Sent = func() { rd.clients.Go(func() { rd.resume(ctx, c, requestID, email) }) }
	return answer
}
