// Package readmodel is what people read about privacy requests: a projection,
// in Postgres, of the records and of the facts about them.
//
// It has two feeds. The transition loop applies what a command or a callback
// has done before it answers (Inline), so that callers read their writes; two
// durable consumers (Feed), one on the records' bucket and one on the facts,
// bring everything else, many rows a statement. A request is guarded by its
// revision and a fact by its id, so neither the order nor the repetition of
// the two feeds matters.
//
// The database may be away. Transitions do not need it: Inline gives up after
// a second and, through a breaker, at once while it stays away; the feeds catch
// up afterwards. Reads then fail with ErrUnavailable.
//
// Nothing personal is stored here: identities are keyed hashes, reasons are
// sealed.
package readmodel

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/schema"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel/db"
)

//go:generate go tool -modfile=../../../../tools/go.mod sqlc generate

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// connectWithin is how long the database may take to accept a connection.
	connectWithin = 5 * time.Second
	readWithin    = 4 * time.Second
	closeWithin   = 2 * time.Second
)

// Store is the read model in its database.
type Store struct {
	// ReadWithin is how long one read may take, four seconds if it is not set
	// after Open. A database that hangs is as good as absent, and who reads is
	// told so.
	ReadWithin time.Duration

	pool     *pgxpool.Pool
	queries  *db.Queries
	migrated atomic.Bool
	unseal   func(sealed string) *string
	awaited  awaited
}

// Open names the database; nothing is connected before it is used. unseal opens
// what records hold sealed and people search by.
func Open(ctx context.Context, url string, unseal func(sealed string) *string) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("readmodel: the database URL cannot be read")
	}
	config.ConnConfig.ConnectTimeout = connectWithin
	config.AfterConnect = prepare
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("readmodel: open pool: %w", err)
	}
	return &Store{ReadWithin: readWithin, pool: pool, queries: db.New(pool), unseal: unseal}, nil
}

// preferIndexes tells the planner what reading an index costs where there are no
// disks that turn. With its usual estimate it reads the whole table, whose rows
// are large, rather than a tenth of that in the index that a search is made for.
const preferIndexes = "SET random_page_cost = 1.1"

func prepare(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, preferIndexes+";"+schema.KeepConfirmed); err != nil {
		return fmt.Errorf("readmodel: prepare connection: %w", err)
	}
	return nil
}

// Close gives the connections back. It does not wait for a database that hangs:
// a connection on which it was asked something takes a quarter of a minute to
// give that up.
func (s *Store) Close() { process.Within(closeWithin, s.pool.Close) }

// Migrate brings the schema up to date. Several replicas may do it at once: a
// lock in the database lets one after the other. Until it has succeeded every
// other method fails with ErrUnavailable.
func (s *Store) Migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("readmodel: migrations: %w", err)
	}
	conn := stdlib.OpenDBFromPool(s.pool)
	defer func(c *sql.DB) { _ = c.Close() }(conn)
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("readmodel: migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, files, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("readmodel: migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("%w: migrate: %w", ErrUnavailable, err)
	}
	s.migrated.Store(true)
	return nil
}

// Ping says whether the database answers and has its schema.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.usable(); err != nil {
		return err
	}
	return unavailable(s.pool.Ping(ctx))
}

func (s *Store) usable() error {
	if !s.migrated.Load() {
		return fmt.Errorf("%w: the schema is not there yet", ErrUnavailable)
	}
	return nil
}

// unavailable marks what went wrong in the database, so that callers need not
// know its errors.
func unavailable(err error) error {
	if err == nil || errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) && refusesData(answer.Code) {
		return fmt.Errorf("%w: SQLSTATE %s", ErrRefused, answer.Code) // its text may repeat values
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// refusesData says whether an SQLSTATE is about the rows themselves: a data
// exception (22), a violated constraint (23), a value that is too large for the
// row or its index (54). Waiting does not help then.
func refusesData(code string) bool {
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") || strings.HasPrefix(code, "54")
}
