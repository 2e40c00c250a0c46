package config_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

const nothingChanged = "NATS cannot be reached. Nothing was changed."

func TestNATSAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := testbed.StartNATS(t, embedded.NATSOptions{Dir: dir, Addr: testbed.FreeAddr(t)})
	nc, _ := testbed.Connect(t, server.URL())
	b := start(t, testbed.Postgres(t), nc, testSettings(t))
	b.ready()
	b.root = b.login(rootID, rootSecret)
	b.call("PATCH", "/dsr/policy", `[{"name":"Before"}]`).want(t, http.StatusOK)

	server.Close()
	refused := b.call("PATCH", "/dsr/policy", `[{"name":"While"}]`).wantDetail(t, http.StatusServiceUnavailable, nothingChanged)
	if refused.header.Get("Retry-After") == "" {
		t.Error("the answer does not say when to come back")
	}
	// What needs no NATS goes on.
	b.call("GET", "/dsr/policy/while", nil).wantDetail(t, http.StatusNotFound, "No Policy found for key while.")
	b.login(rootID, rootSecret)
	eventually(t, "/ready to say that NATS is away", func() bool {
		ready := b.get("/ready")
		return ready.status == http.StatusServiceUnavailable && strings.Contains(ready.body, "dsr_config: NATS does not answer")
	})

	testbed.StartNATS(t, embedded.NATSOptions{Dir: dir, Addr: strings.TrimPrefix(server.URL(), "nats://")})
	eventually(t, "changes to be taken again", func() bool {
		return b.call("PATCH", "/dsr/policy", `[{"name":"After"}]`).status == http.StatusOK
	})
	if _, err := b.policy("after"); err != nil {
		t.Error(err)
	}
	b.ready()
}

// TestDatabaseEndsConnections: who calls after a restart of the database is not
// told of it.
func TestDatabaseEndsConnections(t *testing.T) {
	t.Parallel()
	database := testbed.Postgres(t)
	server := testbed.StartNATS(t, embedded.NATSOptions{Dir: t.TempDir()})
	nc, _ := testbed.Connect(t, server.URL())
	b := start(t, database, nc, testSettings(t))
	b.ready()
	b.root = b.login(rootID, rootSecret)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for _, change := range []string{"One", "Two"} {
		b.call("GET", "/dsr/policy", nil).want(t, http.StatusOK)
		if _, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
		b.call("PATCH", "/dsr/policy", `[{"name":"`+change+`"}]`).want(t, http.StatusOK)
	}
}

func TestPublicationUnconfirmed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stream, err := b.js.Stream(t.Context(), "KV_"+topology.BucketConfig)
	if err != nil {
		t.Fatal(err)
	}
	was := stream.CachedInfo().Config
	full := was
	full.MaxBytes = int64(stream.CachedInfo().State.Bytes)
	full.Discard = jetstream.DiscardNew
	if _, err := b.js.UpdateStream(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	b.call("PATCH", "/dsr/policy", `[{"name":"Stored"}]`).wantDetail(t, http.StatusServiceUnavailable,
		"The change is stored and will be published. NATS has not confirmed it yet.")
	b.call("GET", "/dsr/policy/stored", nil).want(t, http.StatusOK)
	if _, err := b.policy("stored"); !errors.Is(err, catalog.ErrNotFound) {
		t.Fatal("the entry was published after all", err)
	}
	if _, err := b.js.UpdateStream(t.Context(), was); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the entry to be published", func() bool {
		_, err := b.policy("stored")
		return err == nil
	})
}

func TestFacts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hook("my-hook") // before there is a stream
	if err := topology.EnsureOrchestrator(t.Context(), b.js, topology.Options{Replicas: 1, EventRetention: time.Hour}); err != nil {
		t.Fatal(err)
	}
	orchestrator(t, b.nc, nil)
	b.call("PATCH", "/dsr/policy", `[{"name":"Later"}]`).want(t, http.StatusOK)
	b.call("DELETE", "/dsr/policy/later", nil).want(t, http.StatusNoContent)

	consumer, err := b.js.OrderedConsumer(t.Context(), events.StreamEvents, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"dsr.event.config.>"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []events.ConfigData
	versions := map[string]int64{}
	for len(got) < 7 {
		msg, err := consumer.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		event, err := events.Decode(msg.Headers(), msg.Data())
		if err != nil {
			t.Fatal(err)
		}
		var data events.ConfigData
		if err := json.Unmarshal(event.Data(), &data); err != nil {
			t.Fatal(err)
		}
		if event.ID() != msg.Headers().Get("Nats-Msg-Id") || event.Source() != events.SourceConfig || strings.Contains(string(msg.Data()), "s3cret") {
			t.Errorf("the fact: %s %s", event, msg.Data())
		}
		if data.Key == "my-hook" && msg.Subject() != "dsr.event.config.connection.changed.bXktaG9vaw" {
			t.Errorf("the subject: %s", msg.Subject())
		}
		if data.Version <= versions[data.Noun+data.Key] {
			t.Errorf("the versions of %s go back", data.Key)
		}
		versions[data.Noun+data.Key] = data.Version
		data.Version = 0
		got = append(got, data)
	}
	if diff := cmp.Diff([]events.ConfigData{
		{Noun: "policy", Key: "default_access_policy"},
		{Noun: "policy", Key: "default_erasure_policy"},
		{Noun: "policy", Key: "default_consent_policy"},
		{Noun: "settings", Key: "settings"},
		{Noun: "preapproval", Key: "preapproval"},
		{Noun: "connection", Key: "my-hook"},
		{Noun: "connection", Key: "my-hook"},
	}, got); diff != "" {
		t.Error(diff)
	}
	for _, want := range []events.ConfigData{{Noun: "policy", Key: "later"}, {Noun: "policy", Key: "later", Deleted: true}} {
		msg, err := consumer.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		var data events.ConfigData
		if err := json.Unmarshal(msg.Data(), &data); err != nil {
			t.Fatal(err)
		}
		data.Version = 0
		if diff := cmp.Diff(want, data); diff != "" {
			t.Error(diff)
		}
	}
}

func TestRebuiltAtStart(t *testing.T) {
	t.Parallel()
	nc, js := testbed.NATS(t)
	database, settings := testbed.Postgres(t), testSettings(t)
	first := start(t, database, nc, settings)
	first.ready()
	first.root = first.login(rootID, rootSecret)
	orchestrator(t, nc, nil)
	first.hook("c")
	first.call("PUT", "/dsr/policy/default_access_policy/webhook/pre_execution", []any{item("c", "one_way", "Hook", "")}).want(t, http.StatusOK)
	first.call("DELETE", "/dsr/policy/default_consent_policy", nil).want(t, http.StatusNoContent)
	before, err := first.policy("default_access_policy")
	if err != nil {
		t.Fatal(err)
	}
	first.stop()

	// The bucket is lost.
	if err := js.DeleteKeyValue(t.Context(), topology.BucketConfig); err != nil {
		t.Fatal(err)
	}
	second := start(t, database, nc, settings)
	second.ready()
	after, err := second.policy("default_access_policy")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	second.connection(after.Pre[0].ConnectionID)
	if _, err := second.policy("default_consent_policy"); !errors.Is(err, catalog.ErrNotFound) {
		t.Error("a deleted policy is there again", err)
	}
	second.stop()

	// A setting changes what is published.
	settings.RequireManualApproval = true
	third := start(t, database, nc, settings)
	third.ready()
	if entry, err := third.catalog().Settings(t.Context()); err != nil || !*entry.RequireManualRequestApproval {
		t.Error(entry, err)
	}
}

func TestDatabaseWentBack(t *testing.T) {
	t.Parallel()
	nc, _ := testbed.NATS(t)
	settings := testSettings(t)
	first := start(t, testbed.Postgres(t), nc, settings)
	first.ready()
	first.root = first.login(rootID, rootSecret)
	first.call("PATCH", "/dsr/policy", `[{"name":"Forgotten"},{"name":"Renamed","key":"default_access_policy"}]`).want(t, http.StatusOK)
	lost, err := first.policy("default_access_policy")
	if err != nil {
		t.Fatal(err)
	}
	first.stop()

	second := start(t, testbed.Postgres(t), nc, settings)
	second.ready()
	if _, err := second.policy("forgotten"); !errors.Is(err, catalog.ErrNotFound) {
		t.Error("what the database does not know is still there", err)
	}
	now, err := second.policy("default_access_policy")
	if err != nil || now.Policy.Name != "Default Access Policy" || now.Version <= lost.Version {
		t.Errorf("%+v, %v", now, err)
	}
}

func TestPostgresAway(t *testing.T) {
	t.Parallel()
	options := embedded.PostgresOptions{Dir: t.TempDir(), Databases: []string{"config"}}
	cluster := testbed.StartPostgres(t, options)
	database := cluster.URL("config")
	if err := cluster.Close(); err != nil {
		t.Fatal(err)
	}
	nc, _ := testbed.NATS(t)
	b := start(t, database, nc, testSettings(t))
	away := func() {
		t.Helper()
		b.root = b.login(rootID, rootSecret) // needs no database
		for _, refused := range []answer{
			b.call("GET", "/dsr/policy", nil),
			b.call("PATCH", "/dsr/policy", `[{"name":"P"}]`),
		} {
			if refused.status != http.StatusServiceUnavailable || refused.header.Get("Retry-After") == "" {
				t.Errorf("without a database: %s", refused)
			}
		}
		eventually(t, "/ready to say that the database is away", func() bool {
			ready := b.get("/ready")
			return ready.status == http.StatusServiceUnavailable && strings.Contains(ready.body, "postgres: the database does not answer")
		})
	}
	away()
	cluster = testbed.StartPostgres(t, options)
	b.ready()
	b.call("PATCH", "/dsr/policy", `[{"name":"P"}]`).want(t, http.StatusOK)
	if err := cluster.Close(); err != nil {
		t.Fatal(err)
	}
	away()
	testbed.StartPostgres(t, options)
	b.ready()
	b.call("GET", "/dsr/policy/p", nil).want(t, http.StatusOK)
}

func TestPostgresRefuses(t *testing.T) {
	t.Parallel()
	nc, _ := testbed.NATS(t)
	database, err := url.Parse(testbed.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	database.Path = "/no_such_database"
	b := start(t, database.String(), nc, testSettings(t))
	eventually(t, "/ready to say that the database refuses", func() bool {
		return strings.Contains(b.get("/ready").body, "postgres: the database refuses the connection, see the log")
	})
}
