package authorization

import "errors"

var (
	// ErrToken is returned where the OAuth token of a connection could not be
	// had.
	ErrToken = errors.New("authorization: the OAuth token could not be fetched")
	// ErrSecret is returned for a signing secret or a client certificate that
	// is not one.
	ErrSecret = errors.New("authorization: a secret of the connection is not usable")
	// ErrUnconfigured is returned for a connection without a URL.
	ErrUnconfigured = errors.New("authorization: the connection has no URL")

	errFetch = errors.New("the issuer gave none")
)
