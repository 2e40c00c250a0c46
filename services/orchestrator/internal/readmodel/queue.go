package readmodel

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// errAnswer is returned for a statement whose rows somebody would read.
var errAnswer = errors.New("readmodel: a statement that is sent with others has no rows")

// queue takes statements as a connection does, and keeps them until they are
// sent in one go: one way to the server and back, and one transaction.
type queue struct{ pgx.Batch }

// Exec keeps a statement. What goes wrong with it is told by send.
func (q *queue) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	q.Queue(sql, args...)
	return pgconn.CommandTag{}, nil
}

// Query is not for a queue.
func (*queue) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, errAnswer }

// QueryRow is not for a queue.
func (*queue) QueryRow(context.Context, string, ...any) pgx.Row { return noRow{} }

type noRow struct{}

func (noRow) Scan(...any) error { return errAnswer }

// send has all of it done, or nothing: what is sent together and says nothing of
// transactions is one.
func (q *queue) send(ctx context.Context, conn *pgxpool.Conn) error {
	if q.Len() == 0 {
		return nil
	}
	return conn.SendBatch(ctx, &q.Batch).Close()
}
