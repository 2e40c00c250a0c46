package transition_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/services/orchestrator/internal/lifecycle"
	"github.com/parley-dsr/parley/services/orchestrator/internal/transition"
)

// A caller who was told no must not find it done later: a refused command that
// came again might meet a request that accepts it. So nobody is told before the
// command is known to be acknowledged.
func TestARefusalIsToldWhenItIsForGood(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.policy([]record.Webhook{hook("first", record.TwoWay)}, nil)
	b.unpublished("pri_1", hook("first", record.TwoWay))
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	must(t, err)
	gone := errors.New("the server is gone")
	d := transition.Delivery{
		RequestID: "pri_1", ReplyTo: inbox, Confirm: func(context.Context) error { return gone },
		Input: lifecycle.Input{Command: &work.Command{Name: work.Retry, RequestID: "pri_1"}, ID: rand.Text()},
	}
	if err := b.loop.Handle(t.Context(), d); !errors.Is(err, gone) {
		t.Fatalf("handled with %v", err)
	}
	must(t, b.nc.Flush())
	if n, _, err := sub.Pending(); err != nil || n != 0 {
		t.Fatalf("%d answers, %v", n, err)
	}
	confirmed := false
	d.Confirm = func(context.Context) error {
		confirmed = true
		return nil
	}
	must(t, b.loop.Handle(t.Context(), d))
	if _, err := sub.NextMsg(30 * time.Second); err != nil || !confirmed {
		t.Errorf("confirmed: %t, answered: %v", confirmed, err)
	}
}
