package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/deploy"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// The configuration of NATS takes what differs between installations from the
// environment, which is set once for all tests.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "parley-deploy-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := environ(dir); err != nil {
		panic(err)
	}
	m.Run()
}

// environ makes what an operator makes, by the script that operators run.
func environ(dir string) error {
	parley, local := filepath.Join(dir, "parley"), filepath.Join(dir, "local")
	build := exec.Command("go", "build", "-o", parley, "github.com/parley-dsr/parley/cmd/parley")
	prepare := exec.Command("./prepare", local)
	prepare.Env = append(os.Environ(), "PARLEY="+parley)
	for _, cmd := range []*exec.Cmd{build, prepare} {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
		}
	}
	set, err := dotenv.ReadFile(filepath.Join(local, "nats.env"), nil)
	if err != nil {
		return err
	}
	maps.Copy(set, map[string]string{
		"TEST_LOCAL": local, "PARLEY_NATS_NAME": "node", "PARLEY_NATS_STORE": filepath.Join(dir, "store"),
		"PARLEY_NATS_TLS_CERT": filepath.Join(local, "tls", "cert.pem"),
		"PARLEY_NATS_TLS_KEY":  filepath.Join(local, "tls", "key.pem"),
		"PARLEY_NATS_TLS_CA":   filepath.Join(local, "tls", "ca.pem"),
		"PARLEY_NATS_ROUTES":   "[tls://nats-0:6222, tls://nats-1:6222, tls://nats-2:6222]",
	})
	for name, value := range set {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

func TestAccountsAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	want, err := deploy.Accounts()
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, "nats/accounts.conf"); got != want {
		t.Error("nats/accounts.conf is not what the table says: run go generate in deploy")
	}
}

// options reads a configuration as the server does.
func options(t *testing.T, file string) *server.Options {
	t.Helper()
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// onLoopback has a server listen where a test may.
func onLoopback(t *testing.T, o *server.Options) {
	t.Helper()
	o.Host, o.Port, o.HTTPHost, o.HTTPPort = "127.0.0.1", server.RANDOM_PORT, "", 0
	o.StoreDir, o.NoSigs, o.NoLog = t.TempDir(), true, true
}

func start(t *testing.T, o *server.Options) *server.Server {
	t.Helper()
	srv, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server did not become ready")
	}
	return srv
}

// as connects as one of the users, with TLS.
func as(t *testing.T, url, user string) (*nats.Conn, error) {
	t.Helper()
	local := os.Getenv("TEST_LOCAL")
	key, err := nats.NkeyOptionFromSeed(filepath.Join(local, "seeds", user+".nk"))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(url, key, nats.RootCAs(filepath.Join(local, "tls", "ca.pem")),
		nats.CustomInboxPrefix(events.InboxPrefix(user)), nats.Timeout(30*time.Second))
	if err == nil {
		t.Cleanup(nc.Close)
	}
	return nc, err
}

// What the files say of durability and limits is what the server does.
func TestNATSSettings(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"nats/single.conf", "nats/cluster.conf"} {
		o := options(t, file)
		if !o.SyncAlways || o.MaxPayload != 1<<20 || o.JetStreamMaxStore != 20<<30 || !o.JetStream {
			t.Errorf("%s: flush always %t, payload %d, store %d", file, o.SyncAlways, o.MaxPayload, o.JetStreamMaxStore)
		}
		if o.TLSConfig == nil || o.AllowNonTLS {
			t.Errorf("%s takes connections without TLS", file)
		}
		if o.NoAuthUser != "" || len(o.Users) != 0 {
			t.Errorf("%s has users with passwords, or none", file)
		}
		for _, n := range o.Nkeys {
			if n.Permissions == nil || n.Permissions.Publish == nil || len(n.Permissions.Publish.Allow) == 0 || n.Permissions.Subscribe == nil {
				t.Errorf("%s: a user without permissions", file)
			}
		}
	}
}

func TestSingleNode(t *testing.T) {
	t.Parallel()
	o := options(t, "nats/single.conf")
	onLoopback(t, o)
	url := start(t, o).ClientURL()
	if _, err := nats.Connect(url, nats.RootCAs(filepath.Join(os.Getenv("TEST_LOCAL"), "tls", "ca.pem"))); err == nil {
		t.Error("somebody without a key was let in")
	}
	ensure(t, url, 1)
}

// ensure has the owners make what they own, and a reader see it.
func ensure(t *testing.T, url string, replicas int) {
	t.Helper()
	own := topology.Options{Replicas: replicas, EventRetention: time.Hour}
	for user, f := range map[string]func(jetstream.JetStream) error{
		topology.UserOrchestrator: func(js jetstream.JetStream) error { return topology.EnsureOrchestrator(t.Context(), js, own) },
		topology.UserCallback:     func(js jetstream.JetStream) error { return topology.EnsureCallback(t.Context(), js, own) },
		topology.UserConfig:       func(js jetstream.JetStream) error { return topology.EnsureConfig(t.Context(), js, own) },
	} {
		js := jet(t, url, user)
		// A cluster takes a while until it has a leader.
		if err := topology.Await(t.Context(), nil, func(context.Context) error { return f(js) }); err != nil {
			t.Fatalf("%s: %v", user, err)
		}
	}
	bucket, err := topology.AwaitBucket(t.Context(), jet(t, url, topology.UserConfig), topology.BucketConfig, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(t.Context(), "settings", []byte("{}"), 0); err != nil {
		t.Fatal(err)
	}
	bucket, err = topology.AwaitBucket(t.Context(), jet(t, url, topology.UserDispatcher), topology.BucketConfig, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Get(t.Context(), "settings"); err != nil {
		t.Fatal(err)
	}
	if got := bucket.Stream().CachedInfo().Config.Replicas; got != replicas {
		t.Errorf("%d replicas, want %d", got, replicas)
	}
}

func jet(t *testing.T, url, user string) jetstream.JetStream {
	t.Helper()
	nc, err := as(t, url, user)
	if err != nil {
		t.Fatalf("%s: %v", user, err)
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestThreeNodes(t *testing.T) {
	t.Parallel()
	const nodes = 3
	var routes []*url.URL
	for range nodes {
		routes = append(routes, &url.URL{Scheme: "tls", Host: testbed.FreeAddr(t)})
	}
	var urls []string
	for i := range nodes {
		o := options(t, "nats/cluster.conf")
		if len(o.Routes) != nodes || o.Cluster.TLSConfig == nil {
			t.Fatalf("routes %v, TLS between nodes %t", o.Routes, o.Cluster.TLSConfig != nil)
		}
		if o.Cluster.PingInterval != 5*time.Second || o.Cluster.MaxPingsOut != 2 {
			t.Fatalf("nodes ask each other every %s and wait for %d answers", o.Cluster.PingInterval, o.Cluster.MaxPingsOut)
		}
		onLoopback(t, o)
		o.ServerName, o.Routes = fmt.Sprintf("node-%d", i), routes
		o.Cluster.Host = "127.0.0.1"
		if _, err := fmt.Sscan(routes[i].Port(), &o.Cluster.Port); err != nil {
			t.Fatal(err)
		}
		urls = append(urls, start(t, o).ClientURL())
	}
	ensure(t, urls[0], nodes)
	observe(t, urls)
}

// observe has an observer, whose account is not that of the streams, get a fact
// at each of the nodes.
func observe(t *testing.T, urls []string) {
	t.Helper()
	user := topology.ObserverUser("audit")
	js := jet(t, urls[0], topology.UserOrchestrator)
	if _, err := js.CreateConsumer(t.Context(), events.StreamEvents, jetstream.ConsumerConfig{
		Durable: user, FilterSubjects: []string{events.SubjectAll}, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second,
		MaxAckPending: 1, MaxDeliver: -1,
	}); err != nil {
		t.Fatal(err)
	}
	for i, url := range urls {
		e, err := events.New(events.SourceOrchestrator, events.RequestCreated, fmt.Sprint(i), "pri_1", time.Now(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := events.Publish(t.Context(), js, e); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := events.Subscribe(ctx, jet(t, url, user), events.Subscription{Durable: user}, func(_ context.Context, got events.Event) error {
			if got.ID() == e.ID() { // one that came before may come again
				cancel()
			}
			return nil
		}); !errors.Is(err, context.Canceled) {
			t.Errorf("at node %d: %v", i, err)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
