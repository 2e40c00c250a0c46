package config_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// TestReplicas starts two replicas at once over an empty database and changes
// the same list through both: every change that was answered with 200 is one
// of a row, and the bucket ends with what the database has.
func TestReplicas(t *testing.T) {
	t.Parallel()
	nc, _ := testbed.NATS(t)
	database, settings := testbed.Postgres(t), testSettings(t)
	replicas := []*bundle{start(t, database, nc, settings), start(t, database, nc, settings)}
	for _, b := range replicas {
		b.ready()
		b.root = b.login(rootID, rootSecret)
	}
	replicas[0].hook("c")
	const path = "/dsr/policy/default_access_policy/webhook/pre_execution"
	var all sync.WaitGroup
	for i := range 20 {
		b := replicas[i%2]
		all.Go(func() {
			name := fmt.Sprint("Hook ", i%5)
			reply := b.call("PUT", path, []any{item("c", "one_way", name, fmt.Sprint("k", i%5)), item("c", "two_way", "Last", "last")})
			if reply.status != http.StatusOK {
				t.Errorf("%s", reply)
			}
		})
	}
	all.Wait()
	stored := names(replicas[0].call("GET", path, nil).want(t, http.StatusOK), "key")
	entry, err := replicas[1].policy("default_access_policy")
	if err != nil || len(entry.Pre) != 2 || len(stored) != 2 || entry.Pre[0].Key != stored[0] || entry.Pre[1].Key != "last" {
		t.Errorf("the database has %v, the bucket %+v, %v", stored, entry.Pre, err)
	}
}
