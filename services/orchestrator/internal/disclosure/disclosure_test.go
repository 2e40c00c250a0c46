package disclosure_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/disclosure"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryExecutorIsAnswered: executors ask at the same time, after a start or
// where many requests come at once. One that is not answered gives its work back
// after ten seconds.
func TestEveryExecutorIsAnswered(t *testing.T) {
	t.Parallel()
	nc, js := testbed.NATS(t)
	must(t, topology.EnsureOrchestrator(t.Context(), js, topology.Options{}))
	requests, err := topology.AwaitBucket(t.Context(), js, topology.BucketRequests, nil)
	must(t, err)
	identities, err := topology.AwaitBucket(t.Context(), js, topology.BucketIdentities, nil)
	must(t, err)
	keys, err := keyring.Generate()
	must(t, err)
	ring, err := keyring.Parse(keys)
	must(t, err)
	v := vault.Open(identities, ring)
	email := "a@example.com"
	must(t, v.Put(t.Context(), "pri_1", vault.Person{Identity: identity.Identity{Email: &email}}, time.Hour))
	rec := record.Record{ID: "pri_1", Wait: &record.Wait{Kind: record.WaitExecution, CallID: "x"}}
	value, err := rec.Encode()
	must(t, err)
	_, err = requests.Put(t.Context(), "pri_1", value, 0)
	must(t, err)

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- disclosure.New(nc, requests, v, slog.New(slog.DiscardHandler)).Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	question, err := json.Marshal(events.IdentityQuestion{ExecutionID: "x"})
	must(t, err)
	for { // until it listens
		_, err := nc.Request(events.IdentitySubject("pri_1"), question, time.Minute)
		if err == nil {
			break
		}
		if !errors.Is(err, nats.ErrNoResponders) {
			t.Fatal(err)
		}
	}

	executors, err := nats.Connect(nc.ConnectedUrl())
	must(t, err)
	defer executors.Close()
	inbox := executors.NewInbox()
	answers, err := executors.SubscribeSync(inbox + ".*")
	must(t, err)
	const asked = 300
	for i := range asked {
		must(t, executors.PublishRequest(events.IdentitySubject("pri_1"), fmt.Sprint(inbox, ".", i), question))
	}
	for i := range asked {
		msg, err := answers.NextMsg(30 * time.Second)
		if err != nil {
			t.Fatalf("%d of %d are answered: %v", i, asked, err)
		}
		var answer events.IdentityAnswer
		must(t, json.Unmarshal(msg.Data, &answer))
		if answer.Person == nil {
			t.Fatalf("answer: %+v", answer.Code)
		}
	}
}
