package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/bench/internal/load"
	"github.com/parley-dsr/parley/bench/internal/parts"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/pkg/events"
)

// model is a halted request as the stores have it, to be copied under other
// ids: a hundred thousand that are submitted one by one would take most of the
// time of the benchmark. A copy is a request like any other: its halt is kept,
// lists show it, and a resume takes it on.
type model struct {
	id       string
	callID   string
	record   []byte
	facts    []*nats.Msg
	js       jetstream.JetStream
	requests *topology.Bucket
	vault    *vault.Vault
}

// modelOf reads a request that is halted by a call.
func (h *house) modelOf(ctx context.Context, halting parts.Call) (*model, error) {
	m := &model{id: requestOf(halting), callID: halting.ID, js: h.js}
	requests, err := topology.AwaitBucket(ctx, h.js, topology.BucketRequests, nil)
	if err != nil {
		return nil, err
	}
	identities, err := topology.AwaitBucket(ctx, h.js, topology.BucketIdentities, nil)
	if err != nil {
		return nil, err
	}
	m.requests, m.vault = requests, vault.Open(identities, h.ring)
	entry, err := requests.Get(ctx, m.id)
	if err != nil {
		return nil, err
	}
	m.record = entry.Value
	consumer, err := h.js.OrderedConsumer(ctx, events.StreamEvents, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{"dsr.event.*.*." + m.id},
	})
	if err != nil {
		return nil, err
	}
	batch, err := consumer.FetchNoWait(100)
	if err != nil {
		return nil, err
	}
	for msg := range batch.Messages() {
		m.facts = append(m.facts, &nats.Msg{Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()})
	}
	if len(m.facts) == 0 {
		return nil, fmt.Errorf("request %s has no facts: %w", m.id, batch.Error())
	}
	return m, nil
}

// copies makes n copies and gives the calls that have halted a few of them.
func (m *model) copies(ctx context.Context, n int) ([]parts.Call, error) {
	some := make([]parts.Call, min(n, samples))
	err := load.Each(n, 64, func(i int) error {
		id := "pri_" + uuid.NewString()
		if i < len(some) {
			some[i] = parts.Call{ID: strings.ReplaceAll(m.callID, m.id, id)}
		}
		return m.copy(ctx, id)
	})
	return some, err
}

// samples is how many of the copies are resumed in the end.
const samples = 100

// copy copies identity, record and facts, in the order in which they come to be.
func (m *model) copy(ctx context.Context, id string) error {
	email := id + "@example.com"
	if err := m.vault.Put(ctx, id, vault.Person{Identity: identity.Identity{Email: &email}}, 168*time.Hour); err != nil {
		return err
	}
	if _, err := m.requests.Create(ctx, id, bytes.ReplaceAll(m.record, []byte(m.id), []byte(id)), 0); err != nil {
		return err
	}
	acks := make([]jetstream.PubAckFuture, len(m.facts))
	for i, fact := range m.facts {
		header := nats.Header{}
		for name, values := range fact.Header {
			header.Set(name, strings.ReplaceAll(values[0], m.id, id))
		}
		var err error
		acks[i], err = m.js.PublishMsgAsync(&nats.Msg{
			Subject: strings.ReplaceAll(fact.Subject, m.id, id), Header: header, Data: bytes.ReplaceAll(fact.Data, []byte(m.id), []byte(id)),
		})
		if err != nil {
			return err
		}
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
