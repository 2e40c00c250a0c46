package keyring

import "errors"

var (
	// ErrKeys is returned by Parse; the text says which entry is wrong and how.
	ErrKeys = errors.New("keyring: PARLEY_ENCRYPTION_KEYS")
	// ErrUnknownKey says that a value was sealed with a key that is not in the
	// ring.
	ErrUnknownKey = errors.New("keyring: sealed with a key that is not in the ring")
	// ErrSealed says that a value is not one of ours, was sealed for another
	// purpose, or was changed.
	ErrSealed = errors.New("keyring: not a sealed value, or damaged")
)

// What may be wrong with an entry.
var (
	errEmptyEntry = errors.New("the entry is empty")
	errNoColon    = errors.New("no colon between kid and key")
	errKID        = errors.New("the kid must be 1 to 64 letters, digits, '_', '-' or '.'")
	errBase64     = errors.New("the key is not base64")
)
