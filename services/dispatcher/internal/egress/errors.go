package egress

import "errors"

var (
	// ErrURL is returned for a URL that cannot be called: it has no scheme or
	// host, a scheme other than http and https, or a port that is none.
	ErrURL = errors.New("egress: the URL is not an absolute https URL")
	// ErrPlain is returned for an http URL where only https is allowed.
	ErrPlain = errors.New("egress: plain http is not allowed")
	// ErrHeader is returned for headers that HTTP does not allow.
	ErrHeader = errors.New("egress: a configured header is not a valid HTTP header")
	// ErrStatus is returned for an answer whose status does not end a call.
	ErrStatus = errors.New("egress: the answer has no final status")
	// ErrTooLarge is returned where an answer exceeds MaxAnswer.
	ErrTooLarge = errors.New("egress: the answer is too large")
	// ErrEncoding is returned where an answer cannot be decompressed.
	ErrEncoding = errors.New("egress: the answer cannot be decompressed")
)
