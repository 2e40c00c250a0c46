// Package e2e plays the story of a privacy request over four separate
// processes behind one origin, with NATS and Postgres in processes of their
// own: what an operator runs, as an operator runs it.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// With these set, the test binary is a NATS server and nothing else, so that a
// test has one that it can kill.
const (
	natsDirVariable  = "E2E_NATS_DIR"
	natsAddrVariable = "E2E_NATS_ADDR"
	// natsConfigVariable names a configuration file in place of the folder.
	natsConfigVariable = "E2E_NATS_CONFIG"
)

func TestMain(m *testing.M) {
	dir, file := os.Getenv(natsDirVariable), os.Getenv(natsConfigVariable)
	if dir != "" || file != "" {
		if err := beNATS(dir, file, os.Getenv(natsAddrVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testbed.Main(m, removeBinaries)
}

func beNATS(dir, file, addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if file != "" {
		return testbed.ServeNATS(ctx, file, addr)
	}
	server, err := embedded.StartNATS(ctx, embedded.NATSOptions{Dir: dir, Addr: addr})
	if err != nil {
		return err
	}
	<-ctx.Done()
	server.Close()
	return nil
}

// built are the folders with binaries, once they are built.
var built struct {
	mu   sync.Mutex
	dirs []string
}

func removeLater(dir string) {
	built.mu.Lock()
	defer built.mu.Unlock()
	built.dirs = append(built.dirs, dir)
}

func removeBinaries() {
	built.mu.Lock()
	defer built.mu.Unlock()
	for _, dir := range built.dirs {
		_ = os.RemoveAll(dir) // a folder for temporary files
	}
}

// binaries builds the binaries once for all tests, or takes those in
// PARLEY_BIN.
var binaries = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("PARLEY_BIN"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.MkdirTemp("", "parley-e2e-")
	if err != nil {
		return "", err
	}
	removeLater(dir)
	packages := []string{
		"github.com/parley-dsr/parley/cmd/parley",
		"github.com/parley-dsr/parley/services/config/cmd/parley-config",
		"github.com/parley-dsr/parley/services/orchestrator/cmd/parley-orchestrator",
		"github.com/parley-dsr/parley/services/dispatcher/cmd/parley-dispatcher",
		"github.com/parley-dsr/parley/services/callback/cmd/parley-callback",
		"github.com/parley-dsr/parley/examples/subscriber",
		"github.com/parley-dsr/parley/examples/executor",
	}
	build := exec.Command("go", append([]string{"build", "-o", dir}, packages...)...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return dir, nil
})

func binary(t *testing.T, name string) string {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	return filepath.Join(dir, name)
}
