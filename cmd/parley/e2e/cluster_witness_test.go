//go:build faults

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	witnessStream = "WITNESS"
	// witnessEvery is how often the witness writes to each node.
	witnessEvery = 100 * time.Millisecond
	// witnessPatience is how long it waits for the confirmation of a write.
	witnessPatience = 3 * time.Second
)

// witness writes to a stream of its own, by each node and past the network, and
// remembers what was confirmed: none of that may vanish, and a node that is cut
// off may confirm nothing.
type witness struct {
	t     *testing.T
	nodes *nodes
	nc    *nats.Conn
	js    jetstream.JetStream
	done  func()

	mu        sync.Mutex
	confirmed map[string]bool // subjects of writes
	cutOff    string          // the node that is
	since     time.Time
	refused   int // writes that it did not confirm
	wrong     []string
}

// call begins to write; release ends it.
func (n *nodes) call(nc *nats.Conn, js jetstream.JetStream) *witness {
	n.t.Helper()
	w := &witness{t: n.t, nodes: n, nc: nc, js: js, confirmed: map[string]bool{}}
	stream := jetstream.StreamConfig{Name: witnessStream, Subjects: []string{"witness.*.*"}, Replicas: len(n.children)}
	within(n.t, patience, func() (bool, string) {
		_, err := js.CreateOrUpdateStream(n.t.Context(), stream)
		return err == nil, fmt.Sprintf("no stream for the witness: %v", err)
	})
	ctx, cancel := context.WithCancel(n.t.Context())
	var writers sync.WaitGroup
	for _, name := range n.names() {
		_, js := n.connectTo(name)
		writers.Go(func() { w.write(ctx, name, js) })
	}
	w.done = func() {
		cancel()
		writers.Wait()
	}
	n.t.Cleanup(w.done)
	return w
}

func (w *witness) write(ctx context.Context, node string, js jetstream.JetStream) {
	pace := time.NewTicker(witnessEvery)
	defer pace.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		subject, began := fmt.Sprintf("witness.%s.%d", node, i), time.Now()
		within, cancel := context.WithTimeout(ctx, witnessPatience)
		_, err := js.Publish(within, subject, nil)
		cancel()
		w.note(node, subject, began, err == nil)
	}
}

func (w *witness) note(node, subject string, began time.Time, confirmed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if confirmed {
		w.confirmed[subject] = true
	}
	if node != w.cutOff || began.Before(w.since) {
		return
	}
	if confirmed {
		w.wrong = append(w.wrong, subject)
	} else {
		w.refused++
	}
}

// isCutOff says that a node is, as of now.
func (w *witness) isCutOff(node string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutOff, w.since, w.refused = node, time.Now(), 0
}

// isBack says that no node is cut off any more. The one that was has been asked
// to write meanwhile.
func (w *witness) isBack() {
	w.t.Helper()
	within(w.t, patience, func() (bool, string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.refused > 0, w.cutOff + " was not asked to write while it was cut off"
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Logf("%s was asked for %d writes while it was cut off, and confirmed %d", w.cutOff, w.refused+len(w.wrong), len(w.wrong))
	w.cutOff = ""
}

// follow has a node lead the stream of the witness.
func (w *witness) follow(node string) {
	w.t.Helper()
	within(w.t, patience, func() (bool, string) {
		ctx, cancel := context.WithTimeout(w.t.Context(), clientPatience)
		defer cancel()
		stream, err := w.js.Stream(ctx, witnessStream)
		if err != nil || stream.CachedInfo().Cluster == nil {
			return false, fmt.Sprintf("the stream of the witness: %v", err)
		}
		leader := stream.CachedInfo().Cluster.Leader
		if leader == node {
			return true, ""
		}
		body, _ := json.Marshal(map[string]any{"placement": map[string]string{"preferred": node}})
		_, err = w.nc.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+witnessStream, body)
		return false, fmt.Sprintf("%q leads the stream of the witness, want %s (%v)", leader, node, err)
	})
}

// release ends the writing and checks that what was confirmed is there.
func (w *witness) release() {
	w.t.Helper()
	w.done()
	var subjects map[string]uint64
	within(w.t, patience, func() (bool, string) {
		ctx, cancel := context.WithTimeout(w.t.Context(), clientPatience)
		defer cancel()
		stream, err := w.js.Stream(ctx, witnessStream)
		if err == nil {
			var info *jetstream.StreamInfo
			if info, err = stream.Info(ctx, jetstream.WithSubjectFilter("witness.>")); err == nil {
				subjects = info.State.Subjects
			}
		}
		return err == nil, fmt.Sprintf("the stream of the witness: %v", err)
	})
	for _, subject := range w.wrong {
		w.t.Errorf("%s was confirmed by a node that was cut off", subject)
	}
	for subject := range w.confirmed {
		if subjects[subject] == 0 {
			w.t.Errorf("%s was confirmed and is gone", subject)
		}
	}
	w.t.Logf("of %d writes that NATS confirmed to the witness, all were looked for", len(w.confirmed))
}
