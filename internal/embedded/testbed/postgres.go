package testbed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/internal/embedded"
)

// Main is the body of TestMain in packages that use Postgres: it runs the tests
// and stops the shared cluster.
//
//	func TestMain(m *testing.M) { testbed.Main(m) }
//
// further is called before the process ends.
func Main(m *testing.M, further ...func()) {
	code := m.Run()
	for _, f := range further {
		f()
	}
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "testbed:", err)
		code = 1
	}
	os.Exit(code)
}

// Postgres returns the URL of a database of the test's own, empty, in a cluster
// that all tests of the package share. It is dropped when the test ends.
func Postgres(t testing.TB) string {
	t.Helper()
	url, drop, err := shared.database(t.Context())
	if err != nil {
		t.Fatalf("start Postgres: %v", err)
	}
	t.Cleanup(drop)
	return url
}

// StartPostgres starts a cluster of the test's own, for tests that stop it and
// start it again over the same Dir.
func StartPostgres(t testing.TB, o embedded.PostgresOptions) *embedded.Postgres {
	t.Helper()
	o.Fast = true
	p, err := embedded.StartPostgres(t.Context(), o)
	if err != nil {
		t.Fatalf("start Postgres: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("stop Postgres: %v", err)
		}
	})
	return p
}

// shared is the cluster of this test binary: starting one takes longer than
// most tests, so the tests of a package share it and have a database each.
var shared cluster

type cluster struct {
	mu       sync.Mutex
	dir      string
	postgres *embedded.Postgres
	failed   error
	made     int
}

const dirPrefix = "parley-testbed-"

// database creates one, and starts the cluster for the first.
func (c *cluster) database(ctx context.Context) (url string, drop func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.start(ctx); err != nil {
		return "", nil, err
	}
	c.made++
	name := fmt.Sprintf("test_%d", c.made)
	if err := c.postgres.CreateDatabase(ctx, name); err != nil {
		return "", nil, err
	}
	return c.postgres.URL(name), func() { c.drop(name) }, nil
}

func (c *cluster) start(ctx context.Context) error {
	if c.postgres != nil || c.failed != nil {
		return c.failed
	}
	removeAbandoned(os.TempDir())
	dir, err := os.MkdirTemp("", dirPrefix)
	if err != nil {
		return err
	}
	// The cluster outlives the test that happens to need it first.
	p, err := embedded.StartPostgres(context.WithoutCancel(ctx), embedded.PostgresOptions{Dir: dir, Fast: true})
	if err != nil {
		c.failed = err
		_ = os.RemoveAll(dir)
		return err
	}
	c.dir, c.postgres = dir, p
	return nil
}

// drop frees the space. A test that left connections open loses them.
func (c *cluster) drop(name string) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, c.postgres.URL("postgres"))
	if err != nil {
		return // the cluster goes as a whole
	}
	defer func() { _ = conn.Close(ctx) }()
	_, _ = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
}

func (c *cluster) stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.postgres == nil {
		return nil
	}
	err := c.postgres.Close()
	c.postgres = nil
	if removeErr := os.RemoveAll(c.dir); err == nil {
		err = removeErr
	}
	return err
}

// removeAbandoned removes the folders of test binaries that were killed. Their
// servers ended with them.
func removeAbandoned(temp string) {
	dirs, _ := filepath.Glob(filepath.Join(temp, dirPrefix+"*"))
	for _, dir := range dirs {
		if embedded.Abandoned(dir) {
			_ = os.RemoveAll(dir)
		}
	}
}
