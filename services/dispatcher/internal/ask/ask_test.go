package ask

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher/internal/lane"
)

// hanging are receivers of which nobody hears.
type hanging struct{ begun chan struct{} }

func (h hanging) Probe(ctx context.Context, _ string) (work.ProbeAnswer, error) {
	h.begun <- struct{}{}
	<-ctx.Done()
	return work.ProbeAnswer{}, ctx.Err()
}

func (hanging) Lanes(context.Context) ([]lane.Status, error) {
	return []lane.Status{{ConnectionID: "con_1", Pending: 7}}, nil
}

func (hanging) Connection(context.Context, string) (catalog.Connection, error) {
	return catalog.Connection{}, catalog.ErrNotFound
}

// The lanes are shown while as many receivers are probed as may be at once, and
// more wait for that.
func TestProbesAreNotInTheWayOfLanes(t *testing.T) {
	t.Parallel()
	nc, _ := testbed.NATS(t)
	receivers := hanging{begun: make(chan struct{}, 10*atOnce)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	a := Answerer{
		NATS: nc, Prober: receivers, Lanes: receivers, Connections: receivers,
		Replica: "one", Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
	go func() { ended <- a.Run(ctx) }()
	for {
		_, err := nc.Request(events.LanesSubject, nil, time.Minute) // until it listens
		if err == nil {
			break
		}
		if !errors.Is(err, nats.ErrNoResponders) {
			t.Fatal(err)
		}
	}
	for range 10 * atOnce { // more than would be over while we wait
		if err := nc.PublishRequest(events.ProbeSubject("con_1"), nc.NewRespInbox(), nil); err != nil {
			t.Fatal(err)
		}
	}
	for range atOnce {
		<-receivers.begun
	}
	msg, err := nc.Request(events.LanesSubject, nil, work.ProbeWithin)
	if err != nil {
		t.Fatalf("the lanes are not shown: %v", err)
	}
	var answer work.Lanes
	if err := json.Unmarshal(msg.Data, &answer); err != nil || len(answer.Lanes) != 1 || answer.Lanes[0].Pending != 7 {
		t.Errorf("%s, %v", msg.Data, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
