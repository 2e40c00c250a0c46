package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// writers is how many orders are written at once.
const writers = 32

// Connect configures connections that lead to a path of the receiver.
func (s *Stage) Connect(ctx context.Context, path string, ids ...string) error {
	plain, err := json.Marshal(catalog.Secrets{URL: s.URL(path), Authorization: "Bearer s3cret"})
	if err != nil {
		return err
	}
	sealed, err := s.ring.Seal(keyring.Secret, plain)
	if err != nil {
		return err
	}
	return each(len(ids), func(i int) error {
		_, err := s.catalog.Put(ctx, catalog.ConnectionKey(ids[i]), catalog.Connection{
			Entry: catalog.Entry{Version: time.Now().UnixNano()}, ID: ids[i], Key: ids[i], Name: ids[i], Type: "https", SealedSecrets: sealed,
		})
		return err
	})
}

// Order orders n calls on each connection, one for each of as many requests.
func (s *Stage) Order(ctx context.Context, n int, connections ...string) error {
	first := s.orders
	s.orders += n * len(connections)
	return each(n*len(connections), func(i int) error {
		return s.order(ctx, fmt.Sprintf("pri_%08d", first+i), connections[i%len(connections)])
	})
}

func (s *Stage) order(ctx context.Context, requestID, connectionID string) error {
	now := time.Now().UTC()
	webhook := record.Webhook{
		ID: "pol_" + connectionID, Key: "hook", Name: "Hook", Direction: record.TwoWay, ConnectionID: connectionID, ConnectionKey: connectionID,
	}
	callID := record.WebhookCall(requestID, 1, record.Pre, webhook.ID, 1).String()
	until := now.Add(24 * time.Hour)
	request, err := json.Marshal(record.Record{
		ID: requestID, Status: record.InProcessing, Submission: record.Submission{RequestedAt: now},
		Policy: record.Policy{ID: "pol_policy", Key: "policy", Name: "Policy", Rules: []record.Rule{
			{ID: "rul_1", Key: "rule", Name: "Rule", ActionType: record.ActionErasure},
		}},
		Wait: &record.Wait{Kind: record.WaitCall, CallID: callID, Since: now, Until: until},
	})
	if err != nil {
		return err
	}
	if _, err := s.requests.Put(ctx, requestID, request, 0); err != nil {
		return err
	}
	email := "jane@example.com"
	if err := s.vault.Put(ctx, requestID, vault.Person{Identity: identity.Identity{Email: &email}}, 24*time.Hour); err != nil {
		return err
	}
	call, err := json.Marshal(work.Call{
		CallID: callID, RequestID: requestID, Run: 1, Phase: record.Pre, Order: 1, Webhook: webhook, Attempt: 1,
		OrderedAt: now, Until: until, TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	})
	if err != nil {
		return err
	}
	_, err = s.js.Publish(ctx, events.CallSubject(connectionID, requestID), call)
	return err
}

// each does n things, some at once, until one fails.
func each(n int, do func(i int) error) error {
	var (
		working sync.WaitGroup
		once    sync.Once
		failure error
	)
	next := make(chan int)
	failed := make(chan struct{})
	for range min(n, writers) {
		working.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					once.Do(func() { failure = err; close(failed) })
				}
			}
		})
	}
feeding:
	for i := range n {
		select {
		case next <- i:
		case <-failed:
			break feeding
		}
	}
	close(next)
	working.Wait()
	return failure
}
