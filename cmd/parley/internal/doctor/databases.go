package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// undefinedTable is what Postgres says of a table that is not there.
const undefinedTable = "42P01"

// databases asks each for its migrations and its clock.
func (e *examination) databases(ctx context.Context) {
	if len(e.patient.Databases) == 0 {
		e.skipped("databases", "none is named", "PARLEY_DATABASE_URL names the server; the databases config and orchestrator on it are looked at.")
	}
	for _, d := range e.patient.Databases {
		e.database(ctx, d)
	}
}

func (e *examination) database(ctx context.Context, d Database) {
	name := "database " + d.Service
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.URL)
	if err != nil {
		e.wrong(name, refusal(err), "Start Postgres, or name it in PARLEY_DATABASE_URL.")
		return
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var have int64
	var now time.Time
	before := e.patient.Clock()
	err = conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now)
	after := e.patient.Clock()
	if err == nil {
		err = conn.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&have)
	}
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == undefinedTable:
		have = 0
	case err != nil:
		e.wrong(name, refusal(err), "Look at the log of Postgres.")
		return
	}
	switch {
	case have < d.Latest:
		e.wrong(name, fmt.Sprintf("has migration %d of %d", have, d.Latest), "Start "+d.Service+": it migrates its database before it is ready.")
	case have > d.Latest:
		e.wrong(name, fmt.Sprintf("has migration %d, this version knows %d", have, d.Latest), "Use the parley of the version that the services have.")
	default:
		e.ok(name, fmt.Sprintf("is at migration %d, the latest", have))
	}
	e.skew(name+" clock", now, before, after)
}

// refusal tells why a database cannot be used, without the URL, in which there
// may be a password.
func refusal(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return "refuses: SQLSTATE " + refused.Code
	}
	return "does not answer"
}
