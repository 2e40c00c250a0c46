package orchestrator_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator"
	"github.com/parley-dsr/parley/services/orchestrator/internal/dispatchertest"
)

func TestRequestsMoveOnWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	options := embedded.PostgresOptions{Dir: t.TempDir(), Databases: []string{"orchestrator"}}
	database := testbed.StartPostgres(t, options)
	s := setup(t, func(o *orchestrator.Settings) { o.DatabaseURL = database.URL("orchestrator") })
	s.ready()
	s.policy([]record.Webhook{hook("first", record.TwoWay)}, nil)
	dispatchertest.Play(t, s.js, dispatchertest.Succeed)
	must(t, database.Close())

	id := s.submit()
	s.eventually("complete in the bucket", func() bool { return s.record(id).Status == record.Complete })
	if status, body := s.call("POST", "/api/v1/privacy-request/search", nil); status != 503 {
		t.Errorf("search without the database: %d %s", status, body)
	}
	s.eventually("not ready", func() bool {
		status, _ := s.call("GET", "/ready", nil)
		return status == 503
	})

	testbed.StartPostgres(t, options)
	s.ready()
	s.eventually("caught up", func() bool {
		var page struct{ Items []object }
		status, body := s.call("POST", "/api/v1/privacy-request/search", object{"request_id": id})
		return status == 200 && json.Unmarshal(body, &page) == nil && len(page.Items) == 1 && page.Items[0]["status"] == "complete"
	})
}

// record reads a record past the service.
func (s *service) record(id string) record.Record {
	s.t.Helper()
	bucket, err := topology.AwaitBucket(s.t.Context(), s.js, topology.BucketRequests, nil)
	must(s.t, err)
	entry, err := bucket.Get(s.t.Context(), id)
	must(s.t, err)
	var rec record.Record
	must(s.t, json.Unmarshal(entry.Value, &rec))
	return rec
}

func TestWhatTheBucketLostComesBackFromTheDatabase(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	settings := s.settings
	s.ready()
	s.policy([]record.Webhook{hook("first", record.TwoWay)}, nil)
	id := s.submit()
	before := s.record(id)
	s.get(id) // it is in the read model
	s.stop()
	must(t, s.js.DeleteStream(t.Context(), "KV_"+topology.BucketRequests))
	work, err := s.js.Stream(t.Context(), events.StreamWork)
	must(t, err)
	must(t, work.Purge(t.Context()))

	s.start(settings)
	s.ready()
	after := s.record(id)
	if after.Epoch == before.Epoch || after.Revision <= before.Revision || after.Wait == nil || after.Wait.CallID != before.Wait.CallID {
		t.Errorf("put back as %+v, was %+v", after, before)
	}
	dispatchertest.Play(t, s.js, dispatchertest.Succeed)
	s.awaitStatus(id, "complete")
}

func TestWhatTheDatabaseLostComesBackFromTheStreams(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	id := s.submit()
	s.awaitStatus(id, "complete")
	s.eventually("the log is projected", func() bool {
		results, _ := s.get(id)["results"].(object)
		return results["Request finished"] != nil
	})
	s.stop()
	settings := s.settings
	settings.DatabaseURL = testbed.Postgres(t) // as after a restore of an old backup
	s.start(settings)
	s.ready()
	s.eventually("found again, with its log", func() bool {
		var page struct{ Items []object }
		s.expect(200, "POST", "/api/v1/privacy-request/search", object{"verbose": true}, &page)
		return len(page.Items) == 1 && page.Items[0]["id"] == id &&
			page.Items[0]["results"].(object)["Request finished"] != nil
	})
}

func TestTheServiceStartsWithoutItsNeighbours(t *testing.T) {
	t.Parallel()
	s := setup(t, func(o *orchestrator.Settings) { o.DatabaseURL = "postgres://nobody@127.0.0.1:1/none?connect_timeout=1" })
	s.policy(nil, nil)
	s.eventually("the API is open", func() bool {
		status, _ := s.call("POST", "/api/v1/privacy-request", []object{})
		return status == 422
	})
	if status, _ := s.call("GET", "/ready", nil); status != 503 {
		t.Errorf("ready without a database: %d", status)
	}
	var id string
	s.eventually("requests are taken", func() bool {
		status, body := s.call("POST", "/api/v1/privacy-request", []object{{
			"policy_key": "access", "identity": object{"email": "a@example.com"},
		}})
		var created bulk
		if status != 200 || json.Unmarshal(body, &created) != nil || len(created.Succeeded) != 1 {
			return false
		}
		id = created.Succeeded[0]["id"].(string)
		return true
	})
	s.eventually("and carried out", func() bool { return s.record(id).Status == record.Complete })
}

func TestRequestsGoOnAfterNATSWasAway(t *testing.T) {
	t.Parallel()
	options := embedded.NATSOptions{Dir: t.TempDir(), Addr: testbed.FreeAddr(t)}
	server := testbed.StartNATS(t, options)
	nc, js := testbed.Connect(t, server.URL())
	s := setupOn(t, nc, js, nil)
	s.ready()
	s.policy([]record.Webhook{hook("first", record.TwoWay)}, nil)
	id := s.submit()
	server.Close()
	if status, body := s.call("POST", "/api/v1/privacy-request", []object{{
		"policy_key": "access", "identity": object{"email": "a@example.com"},
	}}); status != 503 {
		t.Errorf("submission without NATS: %d %s", status, body)
	}

	testbed.StartNATS(t, options)
	s.ready()
	dispatchertest.Play(t, s.js, dispatchertest.Succeed)
	s.awaitStatus(id, "complete")
	s.awaitStatus(s.submit(), "complete")
}

func TestEndedRequestsLeaveAfterTheirRetention(t *testing.T) {
	t.Parallel()
	s := setup(t, func(o *orchestrator.Settings) { o.RequestRetention, o.DeliveryMaxAge = time.Second, time.Second })
	s.ready()
	s.policy(nil, nil)
	id := s.submit()
	s.eventually("gone from the read model", func() bool {
		status, _ := s.call("GET", "/api/v1/privacy-request/"+id+"/log", nil)
		return status == 404
	})
}
