package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the advisory lock under which one replica migrates while
// the others wait.
const migrationLock = 8100

// Migrate brings the schema to the state of this version. Until it has
// succeeded every other call returns ErrUnavailable.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(1, 120))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	pool := stdlib.OpenDBFromPool(s.pool)
	defer func() { _ = pool.Close() }() // the connections are the pool's
	provider, err := goose.NewProvider(goose.DialectPostgres, pool, files,
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("store: migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return classify(fmt.Errorf("store: migrate: %w", err))
	}
	s.migrated.Store(true)
	return nil
}
