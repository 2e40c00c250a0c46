package orchestrator_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/orchestrator/internal/dispatchertest"
)

// NATS comes back with an older store, and the service has not been stopped: it
// notices, and what was acknowledged in the meantime comes back from the
// database by itself.
func TestAStoreThatWentBackBeneathTheServiceIsNoticed(t *testing.T) {
	t.Parallel()
	options := embedded.NATSOptions{Dir: t.TempDir(), Addr: testbed.FreeAddr(t)}
	server := testbed.StartNATS(t, options)
	nc, js := testbed.Connect(t, server.URL())
	s := setupOn(t, nc, js, nil)
	s.ready()
	s.policy([]record.Webhook{hook("first", record.TwoWay)}, nil)
	earlier := s.submit()
	server.Close()
	older := t.TempDir()
	must(t, os.CopyFS(older, os.DirFS(options.Dir)))
	server = testbed.StartNATS(t, options)
	s.ready()
	later := s.submit()
	s.get(later) // it is in the read model
	before := s.record(later)
	server.Close()

	must(t, os.RemoveAll(options.Dir))
	must(t, os.CopyFS(options.Dir, os.DirFS(older)))
	testbed.StartNATS(t, options)
	bucket, err := topology.AwaitBucket(t.Context(), js, topology.BucketRequests, nil)
	must(t, err)
	var after record.Record
	s.eventually("put back", func() bool {
		entry, err := bucket.Get(t.Context(), later)
		return err == nil && json.Unmarshal(entry.Value, &after) == nil
	})
	if after.Epoch == before.Epoch || after.Revision <= before.Revision || after.Wait == nil || after.Wait.CallID != before.Wait.CallID {
		t.Errorf("put back as %+v, was %+v", after, before)
	}
	dispatchertest.Play(t, s.js, dispatchertest.Succeed)
	for _, id := range []string{earlier, later} {
		s.awaitStatus(id, "complete")
	}
}
