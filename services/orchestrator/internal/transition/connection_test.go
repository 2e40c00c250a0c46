package transition

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// TestStepsEndWithTheConnection cuts the connection of a step that waits for the
// server. The steps that follow have a life of their own, and begin when the
// server that came back was looked at.
func TestStepsEndWithTheConnection(t *testing.T) {
	t.Parallel()
	nc, _ := testbed.NATS(t)
	looked, goOn := make(chan struct{}), make(chan struct{})
	l := &Loop{connection: newConnection(), Config: Config{NATS: nc, Recheck: func(context.Context) error {
		close(looked)
		<-goOn
		return nil
	}}}
	c := l.connection
	following, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	lost := nc.StatusChanged(nats.RECONNECTING)
	go func() { done <- l.follow(following, lost) }()
	step, stop := c.while(t.Context())
	defer stop()
	if err := nc.Flush(); err != nil || step.Err() != nil {
		t.Fatalf("while the server is there: %v, %v", err, step.Err())
	}
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	<-step.Done()
	if err := context.Cause(step); !errors.Is(err, errDisconnected) {
		t.Errorf("the step ended with %v", err)
	}
	next, stop := c.while(t.Context())
	defer stop()
	if next.Err() != nil {
		t.Errorf("the next step has ended before it began: %v", next.Err())
	}
	<-looked
	begun := make(chan struct{})
	go func() {
		c.await(t.Context())
		close(begun)
	}()
	select {
	case <-begun:
		t.Error("a step began before what came back was looked at")
	default:
	}
	close(goOn)
	<-begun
	end()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("following ended with %v", err)
	}
}
