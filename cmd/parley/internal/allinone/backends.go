package allinone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/parley-dsr/parley/internal/embedded"
)

// backends are NATS and Postgres: embedded, unless the settings name others.
type backends struct {
	nats      *embedded.NATS
	postgres  *embedded.Postgres
	natsURL   string
	databases map[string]string // service to URL
}

var errPostgresEnded = errors.New("the private Postgres has ended; its log is postgres.log in the data folder")

// startBackends starts both at once.
func startBackends(ctx context.Context, s Settings, logger *slog.Logger) (*backends, error) {
	b := &backends{natsURL: s.NATSURL, databases: map[string]string{}}
	group, gctx := errgroup.WithContext(ctx)
	if s.NATSURL == "" {
		group.Go(func() (err error) {
			b.nats, err = embedded.StartNATS(gctx, embedded.NATSOptions{
				Dir: filepath.Join(s.DataDir, "nats"), Addr: s.NATSAddr, Sync: s.NATSSync, Logger: logger,
			})
			if errors.Is(err, embedded.ErrAddressTaken) {
				return fmt.Errorf("%w; PARLEY_NATS_ADDR sets another one", err)
			}
			return err
		})
	}
	group.Go(func() error { return b.startDatabases(gctx, s, logger) })
	if err := group.Wait(); err != nil {
		b.close()
		return nil, err
	}
	if b.nats != nil {
		b.natsURL = b.nats.URL()
	}
	return b, nil
}

func (b *backends) startDatabases(ctx context.Context, s Settings, logger *slog.Logger) (err error) {
	services := []string{"config", "orchestrator"}
	if s.DatabaseURL != "" {
		for _, name := range services {
			if b.databases[name], err = onServer(s.DatabaseURL, name); err != nil {
				return err
			}
		}
		return nil
	}
	b.postgres, err = embedded.StartPostgres(ctx, embedded.PostgresOptions{
		Dir: s.DataDir, Databases: services, Programs: s.PostgresBin, Logger: logger,
	})
	if err != nil {
		return err
	}
	for _, name := range services {
		b.databases[name] = b.postgres.URL(name)
	}
	return nil
}

// watch ends with an error if the private Postgres ends by itself.
func (b *backends) watch(ctx context.Context) error {
	if b.postgres == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-b.postgres.Done():
		return errPostgresEnded
	}
}

func (b *backends) close() {
	if b.postgres != nil {
		_ = b.postgres.Close() // it ends with this process in any case
	}
	if b.nats != nil {
		b.nats.Close()
	}
}
