package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/orchestrator"
)

// No service runs: the command does the work alone.
func TestReadModelRebuild(t *testing.T) {
	t.Parallel()
	server := testbed.NATSServer(t)
	_, js := testbed.Connect(t, server.URL())
	for _, err := range []error{
		topology.EnsureOrchestrator(t.Context(), js, topology.Options{}), topology.EnsureConfig(t.Context(), js, topology.Options{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	bucket, err := topology.AwaitBucket(t.Context(), js, topology.BucketRequests, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"pri_1", "pri_2", "pri_3"} {
		value, err := json.Marshal(record.Record{ID: id, Revision: 4, Epoch: "e", Status: record.Complete})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bucket.Create(t.Context(), id, value, 0); err != nil {
			t.Fatal(err)
		}
	}
	out, err := runRebuild(t, server.URL())
	if err != nil || !strings.HasPrefix(out, "3 records and 0 facts were projected in ") {
		t.Errorf("%v, printed:\n%s", err, out)
	}
}

func TestReadModelRebuildBeforeAnyServiceHasRun(t *testing.T) {
	t.Parallel()
	if _, err := runRebuild(t, testbed.NATSServer(t).URL()); !errors.Is(err, errNoBucket) {
		t.Errorf("ended with %v", err)
	}
}

func runRebuild(t *testing.T, nats string) (string, error) {
	t.Helper()
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = Run(context.WithoutCancel(t.Context()), []string{"readmodel", "rebuild"}, map[string]string{
		"PARLEY_NATS_URL": nats, "PARLEY_DATABASE_URL": testbed.Postgres(t), "PARLEY_ENCRYPTION_KEYS": keys,
		"PARLEY_LOG_LEVEL": "error", "PARLEY_DATA_DIR": t.TempDir(),
	}, &out)
	return out.String(), err
}

func TestProgressIsTold(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	var out bytes.Buffer
	tell := progressOn(&out, func() time.Time { return now })
	at := func(second float64, records, facts uint64) {
		now = time.Unix(0, int64(second*float64(time.Second)))
		tell(orchestrator.Rebuilt{Records: orchestrator.Passage{Done: records, Total: 10}, Facts: orchestrator.Passage{Done: facts, Total: 100}})
	}
	at(0, 0, 0)
	at(0.5, 4, 10) // too soon
	at(1, 8, 20)
	at(2, 8, 20) // nothing new
	at(2.1, 10, 30)
	at(2.2, 10, 40) // too soon
	at(2.3, 10, 100)
	const want = "records 0 of 10, facts 0 of 100\nrecords 8 of 10, facts 20 of 100\nrecords 10 of 10, facts 30 of 100\nrecords 10 of 10, facts 100 of 100\n"
	if out.String() != want {
		t.Errorf("told:\n%s", out.String())
	}
}
