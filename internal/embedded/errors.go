package embedded

import "errors"

var (
	// ErrOptions is returned for options that cannot be used.
	ErrOptions = errors.New("embedded: bad options")
	// ErrAddressTaken is returned where another process listens already.
	ErrAddressTaken = errors.New("embedded: the address is taken by another process")
	// ErrDirInUse is returned where another server uses the directory.
	ErrDirInUse = errors.New("embedded: the directory is in use by another server")
)
