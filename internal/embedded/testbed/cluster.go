package testbed

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Cluster starts three servers that replicate, for tests of what only a cluster
// does, and connects to them. It takes some seconds.
func Cluster(t testing.TB) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	const nodes = 3
	var routes []*url.URL
	for range nodes {
		routes = append(routes, &url.URL{Scheme: "nats", Host: FreeAddr(t)})
	}
	servers := ""
	for i, route := range routes {
		port, err := strconv.Atoi(route.Port())
		if err != nil {
			t.Fatal(err)
		}
		srv := clusterNode(t, i, port, routes)
		servers += "," + srv.ClientURL()
	}
	nc, js := Connect(t, servers[1:])
	awaitCluster(t, js)
	return nc, js
}

func clusterNode(t testing.TB, i, port int, routes []*url.URL) *server.Server {
	t.Helper()
	srv, err := server.NewServer(&server.Options{
		ServerName: fmt.Sprintf("node-%d", i),
		Host:       "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: t.TempDir(), SyncInterval: time.Minute,
		Cluster: server.ClusterOpts{Name: "testbed", Host: "127.0.0.1", Port: port},
		Routes:  routes,
		NoSigs:  true, NoLog: true,
	})
	if err != nil {
		t.Fatalf("start node %d: %v", i, err)
	}
	go srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatalf("node %d did not become ready", i)
	}
	return srv
}

// awaitCluster waits until the nodes have a leader and know of each other.
func awaitCluster(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	probe := jetstream.StreamConfig{Name: "PROBE", Replicas: 3, Storage: jetstream.MemoryStorage}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(3 * time.Minute)
	for {
		attempt, cancel := context.WithTimeout(t.Context(), 2*time.Second) // without a leader nobody answers
		_, err := js.CreateStream(attempt, probe)
		cancel()
		if err == nil {
			break
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("the cluster did not form: %v", err)
		}
	}
	if err := js.DeleteStream(t.Context(), probe.Name); err != nil {
		t.Fatal(err)
	}
}
