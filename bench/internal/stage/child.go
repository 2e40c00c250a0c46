package stage

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"os"

	"github.com/parley-dsr/parley/bench/internal/child"
	"github.com/parley-dsr/parley/bench/internal/parts"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/dispatcher"
)

// The roles in which a program starts itself again.
const (
	roleNATS       = "nats"
	roleReceiver   = "receiver"
	roleDispatcher = "dispatcher"
)

// Role runs the role that the environment asks for, if it asks for one. Call it
// first in main.
func Role(ctx context.Context, environ map[string]string) (ran bool, err error) {
	return child.Play(ctx, environ, map[string]child.Role{
		roleNATS: parts.NATS, roleReceiver: runReceiver, roleDispatcher: runDispatcher,
	})
}

func runReceiver(ctx context.Context, environ map[string]string) error {
	server := httptest.NewUnstartedServer(newReceiver())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(environ["BENCH_ROOT"], root, 0o600); err != nil {
		return err
	}
	// The connections of those that hang are cut with the process.
	if err := child.Tell(server.URL); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func runDispatcher(ctx context.Context, environ map[string]string) error {
	settings, err := process.Load[dispatcher.Settings](environ)
	if err != nil {
		return err
	}
	deps, closing, err := process.NewDeps(ctx, "dispatcher", settings.Settings)
	if err != nil {
		return err
	}
	defer closing()
	return dispatcher.Run(ctx, settings, deps)
}
