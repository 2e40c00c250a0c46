package cli

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// dispatcher answers as one does.
func dispatcher(t *testing.T, nc *nats.Conn, answer work.Lanes) {
	t.Helper()
	data, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = nc.Subscribe(events.LanesSubject, func(msg *nats.Msg) { _ = msg.Respond(data) }); err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestLanes(t *testing.T) {
	t.Parallel()
	nc, _ := testbed.NATS(t)
	environ := map[string]string{"PARLEY_NATS_URL": nc.ConnectedUrl()}
	run := func(args ...string) (string, error) {
		var out strings.Builder
		err := Run(t.Context(), append([]string{"lanes"}, args...), environ, &out)
		return out.String(), err
	}
	if _, err := run(); !errors.Is(err, errNoDispatcher) {
		t.Fatalf("without a dispatcher: %v", err)
	}
	oldest, tryAt := time.Now().Add(-90*time.Second), time.Now().Add(time.Hour)
	dispatcher(t, nc, work.Lanes{Replica: "a", Lanes: []work.Lane{
		{ConnectionID: "con_1", ConnectionKey: "shop", Pending: 12, InFlight: 3, Breaker: "closed", Oldest: &oldest},
		{ConnectionID: "con_2", Pending: 1, InFlight: 1, Breaker: "closed"},
	}})
	dispatcher(t, nc, work.Lanes{Replica: "b", Lanes: []work.Lane{
		{ConnectionID: "con_1", ConnectionKey: "shop", Pending: 12, InFlight: 2, Breaker: "open", TryAt: &tryAt, Oldest: &oldest},
		{ConnectionID: "con_2", Pending: 1},
	}})
	table, err := run()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if len(lines) != 3 {
		t.Fatalf("%s", table)
	}
	for i, want := range [][]string{
		{"CONNECTION", "ID", "PENDING", "IN", "FLIGHT", "BREAKER", "OLDEST"},
		{"(gone)", "con_2", "1", "1", "closed", "-"},
		{"shop", "con_1", "12", "5", "closed", "on", "1", "of", "2,", "open", "on", "1", "of", "2,", "tried", "in"},
	} {
		if got := strings.Join(strings.Fields(lines[i]), " "); !strings.HasPrefix(got, strings.Join(want, " ")) {
			t.Errorf("line %d: %q, want %q", i, got, want)
		}
	}
	printed, err := run("--json")
	if err != nil {
		t.Fatal(err)
	}
	var got overview
	if err := json.Unmarshal([]byte(printed), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Dispatchers) != 2 || len(got.Lanes) != 2 || got.Lanes[1].InFlight != 5 || got.Lanes[1].Breakers["b"] != "open" {
		t.Errorf("%s", printed)
	}
}

func TestNoLanes(t *testing.T) {
	t.Parallel()
	nc, _ := testbed.NATS(t)
	dispatcher(t, nc, work.Lanes{Replica: "a"})
	var out strings.Builder
	if err := Run(t.Context(), []string{"lanes"}, map[string]string{"PARLEY_NATS_URL": nc.ConnectedUrl()}, &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != "No calls wait.\n" {
		t.Errorf("%q", out.String())
	}
	if err := Run(t.Context(), []string{"lanes"}, map[string]string{"PARLEY_NATS_URL": "nats://127.0.0.1:1"}, &out); err == nil {
		t.Error("no error without a server")
	}
}
