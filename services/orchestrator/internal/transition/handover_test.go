package transition_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/transition"
)

// TestWhatWasTakenAndNotBegunIsHandedOver: a replica that stops has commands in
// memory that it has not begun. The next one must not have to wait for them
// until their acknowledgement is overdue, which takes a minute.
func TestWhatWasTakenAndNotBegunIsHandedOver(t *testing.T) {
	t.Parallel()
	const commands = 100
	first, goOn := make(chan struct{}), make(chan struct{})
	applied := make(chan string, 2*commands)
	b := setup(t, func(c *transition.Config) {
		c.Workers = 1
		c.Apply = func(_ context.Context, rec *record.Record, _ []events.Event) error {
			applied <- rec.ID
			return nil
		}
		var once sync.Once
		c.Clock = func() time.Time { // of the first decision
			once.Do(func() {
				close(first)
				<-goOn
			})
			return time.Now()
		}
	})
	b.policy(nil, nil)
	for i := range commands {
		id := fmt.Sprintf("pri_%d", i)
		b.send(work.Command{
			ID: rand.Text(), Name: work.Submit, RequestID: id, At: time.Now(),
			Submission: &record.Submission{PolicyKey: "p1", RequestedAt: time.Now()},
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.loop.Run(ctx) }()
	<-first
	stop()
	close(goOn)
	<-ended
	b.run() // the next replica
	late := time.After(time.Minute)
	for done := map[string]bool{}; len(done) < commands; {
		select {
		case id := <-applied:
			done[id] = true
		case <-late:
			t.Fatalf("%d of %d commands are applied", len(done), commands)
		}
	}
}

// send publishes a command whose answer nobody reads.
func (b *bench) send(c work.Command) {
	b.t.Helper()
	data, err := json.Marshal(c)
	must(b.t, err)
	_, err = b.js.PublishMsg(b.t.Context(), &nats.Msg{
		Subject: events.CommandSubject(c.RequestID), Header: nats.Header{work.HeaderReply: {b.nc.NewInbox()}}, Data: data,
	})
	must(b.t, err)
}
