package readmodel

import "errors"

var (
	// ErrUnavailable is returned while the database is away, or has not yet got
	// its schema.
	ErrUnavailable = errors.New("readmodel: the database is not available")
	// ErrRefused is returned for rows that the database does not take: no
	// repetition helps.
	ErrRefused = errors.New("readmodel: the database refused the rows")
	// ErrNotFound is returned for a request that the read model does not have.
	ErrNotFound = errors.New("readmodel: no such request")
	// ErrTooMany is returned where a filter selects more requests than a bulk
	// action may take.
	ErrTooMany = errors.New("readmodel: too many requests selected")
	// ErrSortField is returned for a field by which requests are not sorted.
	ErrSortField = errors.New("readmodel: unknown sort field")

	errData = errors.New("readmodel: the data of a fact cannot be read")
)
