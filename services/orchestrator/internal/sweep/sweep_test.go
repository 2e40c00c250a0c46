package sweep_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
	"github.com/parley-dsr/parley/services/orchestrator/internal/sweep"
)

type waits []readmodel.Overdue

func (w waits) OverdueAt(context.Context, time.Time, int) ([]readmodel.Overdue, error) { return w, nil }

func TestReplicasThatSweepTogetherSendOneTimeoutForAStep(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	deadline := now.Add(-time.Minute)
	overdue := waits{
		{RequestID: "pri_1", CallID: "pri_1_1_pre_pol_1_1", Deadline: deadline},
		{RequestID: "pri_2", CallID: "pri_2_1_pre_pol_1_1", Deadline: deadline},
	}
	for range 3 {
		s := sweep.New(overdue, js, func() time.Time { return now }, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := js.Stream(t.Context(), events.StreamWork)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 2 {
		t.Errorf("%d commands, want 2", n)
	}
	msg, err := stream.GetLastMsgForSubject(t.Context(), events.CommandSubject("pri_1"))
	if err != nil {
		t.Fatal(err)
	}
	var c work.Command
	if err := json.Unmarshal(msg.Data, &c); err != nil {
		t.Fatal(err)
	}
	if c.Name != work.Timeout || c.CallID != "pri_1_1_pre_pol_1_1" || c.ID == "" || msg.Header.Get(jetstream.MsgIDHeader) != c.ID {
		t.Errorf("command %+v", c)
	}
}

// rows are overdue until they are taken away, as in the read model: the longest
// first, and no more at a time than were asked for.
type rows struct{ overdue []readmodel.Overdue }

func (r *rows) OverdueAt(_ context.Context, _ time.Time, atMost int) ([]readmodel.Overdue, error) {
	return r.overdue[:min(atMost, len(r.overdue))], nil
}

func TestRowsThatStayOverdueDoNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	table := &rows{}
	for i := range 1200 { // more than one sweep takes
		table.overdue = append(table.overdue, readmodel.Overdue{
			RequestID: fmt.Sprintf("pri_%d", i), CallID: fmt.Sprintf("pri_%d_1_pre_pol_1_1", i), Deadline: now.Add(-time.Hour),
		})
	}
	s := sweep.New(table, js, func() time.Time { return now }, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	count := func() uint64 {
		t.Helper()
		if err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(t.Context(), events.StreamWork)
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Msgs
	}
	for _, want := range []uint64{500, 1000, 1200, 1200} {
		if got := count(); got != want {
			t.Fatalf("%d commands, want %d", got, want)
		}
	}
	now = now.Add(time.Minute) // they are told again, though the stream knows the first ones
	if got := count(); got != 1700 {
		t.Errorf("%d commands a minute later, want 1700", got)
	}
}
