package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrUnavailable is returned where the database cannot be reached or has
	// not been migrated yet. Nothing was changed.
	ErrUnavailable = errors.New("store: the database is not available")
	// ErrUnconfirmed is returned where the connection broke while a change was
	// being committed: it may be stored or not.
	ErrUnconfirmed = errors.New("store: the database did not confirm the change")
	// ErrNotFound is returned for a row that does not exist.
	ErrNotFound = errors.New("store: no such row")
)

// TooLargeError is returned for a change whose entry would be too large to be
// published. Nothing was changed.
type TooLargeError struct {
	Noun, Key   string
	Size, Limit int // in bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("store: the entry of %s %q takes %d bytes, %d are allowed", e.Noun, e.Key, e.Size, e.Limit)
}

// classify tells the absence of the database from every other error, and the
// absence of a row from both.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case unreachable(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

func unreachable(err error) bool {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return true // whatever the server says, there is no connection
	}
	var server *pgconn.PgError
	if errors.As(err, &server) {
		// 08: connection; 53: resources; 57P: shutdown, not yet started.
		return strings.HasPrefix(server.Code, "08") || strings.HasPrefix(server.Code, "53") ||
			strings.HasPrefix(server.Code, "57P")
	}
	var network net.Error
	return errors.As(err, &network) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err) ||
		strings.Contains(err.Error(), "conn closed")
}

// IsRefused says whether the server is there and does not let us in: a wrong
// password, an unknown user or database.
func IsRefused(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && (strings.HasPrefix(server.Code, "28") || server.Code == "3D000")
}

// IsMissing says whether a query inside a read or a change found no row.
func IsMissing(err error) bool { return errors.Is(err, pgx.ErrNoRows) || errors.Is(err, ErrNotFound) }
