package readmodel

import (
	"context"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Statement is one that a search makes.
type Statement struct {
	Name string
	SQL  string
	Args []any
}

// Statements are those of a search, first the page, as it is read where there
// are few and where there are many, and of a selection.
func Statements(f Filter, o Order, page, size int) []Statement {
	first, args := listStatement(f, o, (page-1)*size, size, true)
	list, _ := listStatement(f, o, (page-1)*size, size, false)
	count, countArgs := countStatement(f)
	ids, idsArgs := idsStatement(f)
	return []Statement{{"few", first, args}, {"page", list, args}, {"count", count, countArgs}, {"ids", ids, idsArgs}}
}

// Few is the number up to which requests are found first and sorted then.
const Few = few

// MigrateBack takes the schema back to a version.
func (s *Store) MigrateBack(ctx context.Context, version int64) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	conn := stdlib.OpenDBFromPool(s.pool)
	defer func() { _ = conn.Close() }()
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, files)
	if err != nil {
		return err
	}
	_, err = provider.DownTo(ctx, version)
	return err
}

// Exec runs a statement.
func (s *Store) Exec(ctx context.Context, statement string) error {
	_, err := s.pool.Exec(ctx, statement)
	return err
}

// Explain gives the plan of a statement, planned as a search has it planned.
func (s *Store) Explain(ctx context.Context, st Statement, options string) ([]string, error) {
	rows, err := s.pool.Query(ctx, "EXPLAIN "+options+" "+st.SQL, append([]any{planned}, st.Args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		plan = append(plan, line)
	}
	return plan, rows.Err()
}

// Sizes tells how large the tables and their indexes are.
func (s *Store) Sizes(ctx context.Context) ([]string, error) {
	rows, err := s.pool.Query(ctx, `SELECT relname || ' ' || pg_size_pretty(pg_relation_size(oid)) FROM pg_class
		WHERE relname LIKE 'requests%' AND relkind IN ('r', 'i') ORDER BY relkind DESC, relname`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Visible is the part of the table whose pages are noted as visible to all.
func (s *Store) Visible(ctx context.Context) (part float64, err error) {
	err = s.pool.QueryRow(ctx, "SELECT relallvisible::float8 / greatest(relpages, 1) FROM pg_class WHERE relname = 'requests'").Scan(&part)
	return part, err
}

// IDs are those of the records that a statement lists.
func (s *Store) IDs(ctx context.Context, st Statement) ([]string, error) {
	rows, err := s.pool.Query(ctx, st.SQL, append([]any{planned}, st.Args...)...)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	ids := make([]string, len(found))
	for i, data := range found {
		rec, err := readRecord(data)
		if err != nil {
			return nil, err
		}
		ids[i] = rec.ID
	}
	return ids, err
}

// Written is how much the server has written into its log so far, in bytes.
func (s *Store) Written(ctx context.Context) (n int64, err error) {
	err = s.pool.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&n)
	return n, err
}

// AddStored adds a record as the bucket has it.
func (b *Batch) AddStored(id string, value []byte) error { return b.addStored(id, value) }

// Backends are the processes that serve the connections to the database.
func (s *Store) Backends(ctx context.Context) ([]int, error) {
	rows, err := s.pool.Query(ctx, "SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

// Lock lets a table be read and not be written, until it is released.
func (s *Store) Lock(ctx context.Context, table string) (release func(), err error) {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, "BEGIN; LOCK TABLE "+table+" IN EXCLUSIVE MODE")
	return func() { _ = conn.Close(context.WithoutCancel(ctx)) }, err
}

// Waiting is the number of statements that wait for a lock.
func (s *Store) Waiting(ctx context.Context) (n int, err error) {
	err = s.pool.QueryRow(ctx, "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&n)
	return n, err
}

// EndConnections gives the pool some connections that were just used, and lets
// the database end all of them.
func (s *Store) EndConnections(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for range 3 {
		used, err := s.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer used.Release()
	}
	_, err = conn.Exec(ctx, `SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	return err
}

// Setting is a setting of the server, as it is for a connection of the store.
func (s *Store) Setting(ctx context.Context, name string) (value string, err error) {
	err = s.pool.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value)
	return value, err
}
