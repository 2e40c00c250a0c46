// Package store keeps the configuration in Postgres.
//
// Every change is one transaction: the rows, what the other services are to
// see of them (the entries of the bucket dsr_config), the fact that tells of
// the change and the audit row are committed together or not at all. Changes
// are serialised by one advisory lock. They are rare and short, and it makes
// the rest simple: nobody decides on rows that another is about to change, and
// the versions, which one sequence gives, are in the order of the commits.
//
// The store tolerates a database that is absent: it opens without one, and
// every call returns ErrUnavailable until it is there and migrated. It never
// sees a secret in the clear: what is secret arrives sealed.
package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/schema"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// patience is how long one read or change may take, the wait for a connection
// and for the lock included.
const patience = 10 * time.Second

// Options of a store.
type Options struct {
	// RequireManualApproval is what the published settings say while nobody has
	// set it over the API; nil, for who is not the service, leaves what they
	// say.
	RequireManualApproval *bool
	Clock                 func() time.Time
	// Tracer, where it is set, sees every statement.
	Tracer pgx.QueryTracer
}

// Store is the database of the config service.
type Store struct {
	pool     *pgxpool.Pool
	options  Options
	migrated atomic.Bool
}

// Open prepares the connections; none is made before the first call. The error
// is that of a URL that cannot be read, and does not repeat it.
func Open(url string, o Options) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("PARLEY_DATABASE_URL takes a Postgres URL, such as postgres://user@host/config")
	}
	config.ConnConfig.ConnectTimeout = 5 * time.Second
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "parley-config"
	}
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	config.ConnConfig.Tracer = o.Tracer
	// Connections that the database ended are found out before they are used: calls
	// are few, and nobody who calls after a restart is told of it.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, schema.KeepConfirmed); err != nil {
			return fmt.Errorf("store: prepare connection: %w", err)
		}
		return nil
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return &Store{pool: pool, options: o}, nil
}

// closeWithin is how long a database that hangs keeps a process from its end.
const closeWithin = 2 * time.Second

// Close ends the connections. It does not wait for a database that hangs: a
// connection on which it was asked something takes a quarter of a minute to give
// that up.
func (s *Store) Close() { process.Within(closeWithin, s.pool.Close) }

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return classify(s.pool.Ping(ctx)) }

// Now is the time of the store's clock, as exact as the database keeps it.
func (s *Store) Now() time.Time { return s.options.Clock().UTC().Truncate(time.Microsecond) }

// Read runs queries that see one state of the database and change nothing.
func (s *Store) Read(ctx context.Context, run func(ctx context.Context, q *db.Queries) error) error {
	if !s.migrated.Load() {
		return ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return classify(pgx.BeginTxFunc(ctx, s.pool, options, func(tx pgx.Tx) error {
		return run(ctx, db.New(tx))
	}))
}
