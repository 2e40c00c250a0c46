package cli

import "errors"

var (
	// errNoNATS is returned by commands that work beside an installation.
	errNoNATS = errors.New("NATS does not answer; PARLEY_NATS_URL names it, or PARLEY_NATS_ADDR that of parley serve")
	// errNoBucket is returned where the services have never run.
	errNoBucket = errors.New("this NATS has no records to compare; start the services, they make what is missing and compare by themselves")
	// errNotCompared is returned where some requests could not be compared.
	errNotCompared = errors.New("requests that could not be compared; the log names them")
)
