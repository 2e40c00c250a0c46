package cli

import "errors"

// errNoNATS is returned by commands that work beside an installation.
var errNoNATS = errors.New("NATS does not answer; PARLEY_NATS_URL names it, or PARLEY_NATS_ADDR that of parley serve")
