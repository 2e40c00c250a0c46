//go:build faults

package rounds

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/parley-dsr/parley/internal/embedded"
)

// cluster is the Postgres of all rounds, which they restart. Each round has
// databases of its own in it.
type cluster struct {
	dir    string
	server *embedded.Postgres
	made   int
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "parley-rounds-") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{dir: dir}
	if err := c.start(t.Context()); err != nil {
		t.Fatalf("start Postgres: %v", err)
	}
	t.Cleanup(func() {
		_ = c.server.Close() // the round that broke it has said so
		_ = os.RemoveAll(dir)
	})
	return c
}

func (c *cluster) start(ctx context.Context) (err error) {
	// the server outlives the round in which it is restarted
	c.server, err = embedded.StartPostgres(context.WithoutCancel(ctx), embedded.PostgresOptions{Dir: c.dir, Fast: true})
	return err
}

// databases makes new ones and gives their addresses.
func (c *cluster) databases(ctx context.Context, names ...string) (map[string]string, error) {
	urls := map[string]string{}
	for _, name := range names {
		c.made++
		own := fmt.Sprintf("%s_%d", name, c.made)
		if err := c.server.CreateDatabase(ctx, own); err != nil {
			return nil, err
		}
		urls[name] = c.server.URL(own)
	}
	return urls, nil
}
