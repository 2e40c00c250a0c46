//go:build faults

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// network is every way that there is to the nodes: one for the clients of each,
// and one from each node to each other.
type network struct {
	t    *testing.T
	ways map[way]*toxiproxy.Proxy
}

// way leads from a node, or from clients, which have no name, to a node.
type way struct{ from, to string }

// openNetwork opens the ways to where the nodes take clients and routes.
func openNetwork(t *testing.T, clients, routes map[string]string) *network {
	t.Helper()
	n := &network{t: t, ways: map[way]*toxiproxy.Proxy{}}
	for to := range routes {
		n.open(way{to: to}, clients[to])
		for from := range routes {
			if from != to {
				n.open(way{from: from, to: to}, routes[to])
			}
		}
	}
	return n
}

func (n *network) open(w way, addr string) {
	n.t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, fmt.Sprint(w), testbed.FreeAddr(n.t), addr)
	if err := proxy.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(proxy.Stop)
	n.ways[w] = proxy
}

// clients is where clients reach a node.
func (n *network) clients(node string) string { return n.ways[way{to: node}].Listen }

// routes are where a node reaches the others.
func (n *network) routes(node string) []string {
	var urls []string
	for w, proxy := range n.ways {
		if w.from == node {
			urls = append(urls, fmt.Sprintf("%q", "nats://"+proxy.Listen))
		}
	}
	return slices.Sorted(slices.Values(urls))
}

// around are the ways to a node and from it.
func (n *network) around(node string) []*toxiproxy.Proxy {
	var proxies []*toxiproxy.Proxy
	for _, w := range slices.Collect(maps.Keys(n.ways)) {
		if w.from == node || w.to == node {
			proxies = append(proxies, n.ways[w])
		}
	}
	return proxies
}

// lure has all clients come to one node: what leads to the others is closed
// until they are there.
func (n *network) lure(node string, arrived func()) {
	n.t.Helper()
	var closed []*toxiproxy.Proxy
	for w, proxy := range n.ways {
		if w.from == "" && w.to != node {
			proxy.Stop()
			closed = append(closed, proxy)
		}
	}
	arrived()
	for _, proxy := range closed {
		if err := proxy.Start(); err != nil {
			n.t.Fatal(err)
		}
	}
}

// cut has everything vanish that is sent to a node or by it, and tells nobody:
// no connection ends by it.
func (n *network) cut(node string) {
	for _, proxy := range n.around(node) {
		for _, stream := range []string{"upstream", "downstream"} {
			toxic := strings.NewReader(`{"type": "timeout", "stream": "` + stream + `", "attributes": {"timeout": 0}}`)
			if _, err := proxy.Toxics.AddToxicJson(toxic); err != nil {
				n.t.Errorf("cut off %s: %v", node, err)
			}
		}
	}
}

// join connects a node again. What has hung meanwhile ends.
func (n *network) join(node string) {
	for _, proxy := range n.around(node) {
		proxy.Toxics.ResetToxics(context.Background())
	}
}
