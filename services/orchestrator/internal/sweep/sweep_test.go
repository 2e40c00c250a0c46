package sweep_test

import (
	"context"
	"encoding/json"
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
	deadline := time.Now().Add(-time.Minute)
	overdue := waits{
		{RequestID: "pri_1", CallID: "pri_1_1_pre_pol_1_1", Deadline: deadline},
		{RequestID: "pri_2", CallID: "pri_2_1_pre_pol_1_1", Deadline: deadline},
	}
	for range 3 {
		s := sweep.New(overdue, js, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
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
