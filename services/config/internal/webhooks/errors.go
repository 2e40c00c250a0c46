package webhooks

import (
	"errors"
	"fmt"
)

var (
	// ErrDuplicate is returned for a list in which two keys or two names are
	// the same.
	ErrDuplicate = errors.New("webhooks: two items have the same key or name")
	// ErrNameless is returned for a new webhook without a name.
	ErrNameless = errors.New("webhooks: a new webhook needs a name")
	// ErrKeyless is returned for a name of which no key can be made.
	ErrKeyless = errors.New("webhooks: the name yields no key")
	// ErrKeyTaken is returned where the key that was made of a name exists.
	ErrKeyTaken = errors.New("webhooks: the key exists already")
	// ErrNameTaken is returned where another webhook has the name.
	ErrNameTaken = errors.New("webhooks: the name exists already")
	// ErrElsewhere is returned for a key that belongs to another policy.
	ErrElsewhere = errors.New("webhooks: the key belongs to another policy")
	// ErrOrder is returned for a position that does not exist.
	ErrOrder = errors.New("webhooks: no such position")
	// ErrUnknown is returned for a key that is not in the list.
	ErrUnknown = errors.New("webhooks: no such webhook")
)

// ItemError says which item of a list is wrong, and why.
type ItemError struct {
	Index int
	Err   error
	Key   string // where Err is about a key
	Name  string // where Err is about a name
}

func (e *ItemError) Error() string { return fmt.Sprintf("item %d: %v", e.Index, e.Err) }

func (e *ItemError) Unwrap() error { return e.Err }
