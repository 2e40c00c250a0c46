//go:build faults

package rounds

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

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// With these set, the test binary is a NATS server and nothing else, so that a
// round has one that it can kill.
const (
	natsConfigVariable = "ROUNDS_NATS_CONFIG"
	natsAddrVariable   = "ROUNDS_NATS_ADDR"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(natsConfigVariable); file != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err := testbed.ServeNATS(ctx, file, os.Getenv(natsAddrVariable))
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testbed.Main(m, removeBinaries)
}

// built is where the binaries are, once they are built.
var built string

func removeBinaries() {
	if built != "" {
		_ = os.RemoveAll(built) // a folder for temporary files
	}
}

// binaries builds the four services, or takes those in PARLEY_BIN.
var binaries = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("PARLEY_BIN"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.MkdirTemp("", "parley-rounds-")
	if err != nil {
		return "", err
	}
	built = dir
	args := []string{"build", "-o", dir}
	for _, name := range serviceNames {
		args = append(args, "github.com/parley-dsr/parley/services/"+name+"/cmd/parley-"+name)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return dir, nil
})
