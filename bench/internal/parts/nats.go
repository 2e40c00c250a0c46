// Package parts are the parts that benchmarks share: the NATS server and the
// called system, as roles of a child process.
package parts

import (
	"context"
	"log/slog"
	"os"

	"github.com/parley-dsr/parley/bench/internal/child"
	"github.com/parley-dsr/parley/internal/embedded"
)

// NATS is the server, over the folder BENCH_DIR, on BENCH_ADDR, that flushes as
// BENCH_SYNC says.
func NATS(ctx context.Context, environ map[string]string) error {
	server, err := embedded.StartNATS(ctx, embedded.NATSOptions{
		Dir: environ["BENCH_DIR"], Addr: environ["BENCH_ADDR"], Sync: environ["BENCH_SYNC"],
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	defer server.Close()
	if err := child.Tell(server.URL()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
