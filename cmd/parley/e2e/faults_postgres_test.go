//go:build faults

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/parley-dsr/parley/internal/embedded"
)

// cluster is a Postgres of the test's own, which it can kill and stop.
type cluster struct {
	t       testing.TB
	dir     string
	server  *embedded.Postgres
	stopped []int
}

func startCluster(t testing.TB) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "parley-faults-") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, dir: dir}
	c.start()
	t.Cleanup(func() {
		c.thaw()
		_ = c.server.Close() // it may have been killed
		_ = os.RemoveAll(dir)
	})
	return c
}

func (c *cluster) start() {
	c.t.Helper()
	server, err := embedded.StartPostgres(c.t.Context(), embedded.PostgresOptions{
		Dir: c.dir, Databases: []string{"config", "orchestrator"}, Fast: true,
	})
	if err != nil {
		c.t.Fatalf("start Postgres: %v", err)
	}
	if c.server != nil && c.server.URL("config") != server.URL("config") {
		c.t.Fatalf("Postgres came back as %s, was %s", server.URL("config"), c.server.URL("config"))
	}
	c.server = server
}

func (c *cluster) databases() map[string]string {
	return map[string]string{"config": c.server.URL("config"), "orchestrator": c.server.URL("orchestrator")}
}

// shutdown stops the server in order.
func (c *cluster) shutdown() {
	if err := c.server.Close(); err != nil {
		c.t.Errorf("stop Postgres: %v", err)
	}
}

// kill kills the postmaster; its children see that and end.
func (c *cluster) kill() {
	pid, err := c.postmaster()
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		c.t.Errorf("kill Postgres: %v", err)
		return
	}
	<-c.server.Done()
}

// revive starts the server after kill or shutdown.
func (c *cluster) revive() {
	c.t.Helper()
	_ = c.server.Close() // after a kill it only tidies up
	c.start()
}

// freeze stops all processes of the server, the postmaster first, so that it
// makes no new ones.
func (c *cluster) freeze() {
	postmaster, err := c.postmaster()
	if err != nil {
		c.t.Errorf("stop Postgres: %v", err)
		return
	}
	c.stop(postmaster)
	for _, pid := range childrenOf(postmaster) {
		c.stop(pid)
	}
}

func (c *cluster) stop(pid int) {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return // a backend that has just ended
	}
	c.stopped = append(c.stopped, pid)
}

// thaw lets stopped processes go on.
func (c *cluster) thaw() {
	for _, pid := range c.stopped {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	c.stopped = nil
}

// postmaster is the first line of the file that the server keeps.
func (c *cluster) postmaster() (int, error) {
	text, err := os.ReadFile(filepath.Join(c.dir, "postgres", "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("%q is not a process", line)
	}
	return pid, nil
}

// childrenOf reads the process table.
func childrenOf(parent int) []int {
	var children []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid …; the name may hold anything.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) < 2 || string(fields[1]) != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			children = append(children, pid)
		}
	}
	return children
}
