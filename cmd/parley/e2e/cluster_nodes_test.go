//go:build faults

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// nodes are three NATS servers that replicate, each a process of its own. What
// leads to them, and from one to another, are ways that can be cut.
type nodes struct {
	t        *testing.T
	children map[string]*child // by the name of the server
	direct   map[string]string // where a node takes clients, by no way
	network  *network
}

// deadEnd is what the nodes tell each other of where they take routes, so that
// they know no other ways than those of the network.
const deadEnd = "127.0.0.1:9"

// startNodes starts the servers and waits until they have found each other.
func startNodes(t *testing.T) *nodes {
	t.Helper()
	n := &nodes{t: t, children: map[string]*child{}, direct: map[string]string{}}
	dir, routes := t.TempDir(), map[string]string{}
	for i := range 3 {
		name := fmt.Sprintf("node-%d", i+1)
		n.direct[name], routes[name] = testbed.FreeAddr(t), testbed.FreeAddr(t)
	}
	n.network = openNetwork(t, n.direct, routes)
	for name, addr := range n.direct {
		config := filepath.Join(dir, name+".conf")
		// pings as in deploy/nats/cluster.conf
		text := fmt.Sprintf(`
server_name: %s
client_advertise: %q
jetstream: { store_dir: %q }
cluster: { name: parley, listen: %q, advertise: %q, routes: [ %s ], ping_interval: "5s", ping_max: 2 }
`, name, n.network.clients(name), filepath.Join(dir, name), routes[name], deadEnd, strings.Join(n.network.routes(name), ", "))
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		n.children[name] = &child{
			t: t, name: name, path: os.Args[0], log: newLog(t, dir, name),
			env: testbed.Environ(map[string]string{natsConfigVariable: config, natsAddrVariable: addr}),
		}
		n.children[name].start()
	}
	n.awaitFormed()
	return n
}

func (n *nodes) names() []string { return slices.Sorted(maps.Keys(n.children)) }

func (n *nodes) url() string {
	var urls []string
	for _, name := range n.names() {
		urls = append(urls, "nats://"+n.network.clients(name))
	}
	return strings.Join(urls, ",")
}

// connect gives a connection that soon notices a node that has gone silent.
func (n *nodes) connect() (*nats.Conn, jetstream.JetStream) {
	n.t.Helper()
	return n.dial(n.url(), nats.PingInterval(2*time.Second))
}

// connectTo gives a connection to one node, whatever becomes of the network.
func (n *nodes) connectTo(name string) (*nats.Conn, jetstream.JetStream) {
	n.t.Helper()
	return n.dial("nats://"+n.direct[name], nats.IgnoreDiscoveredServers())
}

func (n *nodes) dial(url string, more ...nats.Option) (*nats.Conn, jetstream.JetStream) {
	n.t.Helper()
	nc, err := nats.Connect(url, append(more, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond))...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		n.t.Fatal(err)
	}
	return nc, js
}

// awaitFormed waits until a stream with three replicas can be made.
func (n *nodes) awaitFormed() {
	n.t.Helper()
	_, js := n.connect()
	probe := jetstream.StreamConfig{Name: "PROBE", Subjects: []string{"probe"}, Replicas: len(n.children), Storage: jetstream.MemoryStorage}
	within(n.t, 2*patience, func() (bool, string) {
		_, err := js.CreateStream(n.t.Context(), probe)
		return err == nil, fmt.Sprintf("the nodes have not found each other: %v", err)
	})
	if err := js.DeleteStream(n.t.Context(), probe.Name); err != nil {
		n.t.Fatal(err)
	}
}

// placed is where the streams of an installation are.
type placed struct {
	leads  map[string]int // streams that a node leads
	behind []string       // replicas of streams and consumers that are not up to date
}

// look asks where the streams are; known is false where that cannot be said now.
func (n *nodes) look(ctx context.Context, js jetstream.JetStream) (p placed, known bool) {
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	p.leads = map[string]int{}
	streams := js.ListStreams(ctx)
	seen := 0
	for info := range streams.Info() {
		seen++
		if info.Cluster == nil || info.Cluster.Leader == "" {
			return p, false
		}
		p.leads[info.Cluster.Leader]++
		p.note(info.Config.Name, info.Cluster)
		if !p.noteConsumers(ctx, js, info.Config.Name) {
			return p, false
		}
	}
	return p, streams.Err() == nil && seen > 0
}

// note notes the replicas that are behind.
func (p *placed) note(what string, at *jetstream.ClusterInfo) {
	for _, r := range at.Replicas {
		if !r.Current || r.Offline {
			p.behind = append(p.behind, what+" on "+r.Name)
		}
	}
}

// noteConsumers does so for the consumers of a stream, which have leaders and
// replicas of their own; it says false where that cannot be said now.
func (p *placed) noteConsumers(ctx context.Context, js jetstream.JetStream, stream string) bool {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return false
	}
	consumers := s.ListConsumers(ctx)
	for info := range consumers.Info() {
		if info.Cluster == nil || info.Cluster.Leader == "" {
			return false
		}
		p.note(stream+"/"+info.Name, info.Cluster)
	}
	return consumers.Err() == nil
}

// first is the node that leads most streams.
func (p placed) first() string {
	return slices.MaxFunc(slices.Sorted(maps.Keys(p.leads)), func(a, b string) int { return p.leads[a] - p.leads[b] })
}

// awaitWhole waits until every replica of every stream is up to date, and gives
// the name of the node that leads most of them.
func (n *nodes) awaitWhole(js jetstream.JetStream) string {
	n.t.Helper()
	var p placed
	within(n.t, 2*patience, func() (bool, string) {
		var known bool
		p, known = n.look(n.t.Context(), js)
		return known && len(p.behind) == 0, fmt.Sprintf("streams are led by %v, behind are %v", p.leads, p.behind)
	})
	n.t.Logf("streams are led by %v", p.leads)
	return p.first()
}
