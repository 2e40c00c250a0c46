package transition

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// TestStepsEndWithTheConnection takes the server away from a step that waits
// for it. The steps that follow have a life of their own.
func TestStepsEndWithTheConnection(t *testing.T) {
	t.Parallel()
	server := testbed.NATSServer(t)
	nc, _ := testbed.Connect(t, server.URL())
	c := newConnection()
	following, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	lost := nc.StatusChanged(nats.RECONNECTING)
	go func() { done <- c.follow(following, lost) }()
	step, stop := c.while(t.Context())
	defer stop()
	if err := nc.Flush(); err != nil || step.Err() != nil {
		t.Fatalf("while the server is there: %v, %v", err, step.Err())
	}
	server.Close()
	<-step.Done()
	if err := context.Cause(step); !errors.Is(err, errDisconnected) {
		t.Errorf("the step ended with %v", err)
	}
	next, stop := c.while(t.Context())
	defer stop()
	if next.Err() != nil {
		t.Errorf("the next step has ended before it began: %v", next.Err())
	}
	end()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("following ended with %v", err)
	}
}
