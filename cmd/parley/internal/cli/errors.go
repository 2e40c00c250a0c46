package cli

import "errors"

// besideServe is what to do where the data folder of parley serve is not found.
const besideServe = "beside parley serve, run this in its folder, or name its data folder (.parley) in PARLEY_DATA_DIR"

var (
	// errNoNATS is returned by commands that work beside an installation.
	errNoNATS = errors.New("NATS does not answer; PARLEY_NATS_URL names it, or PARLEY_NATS_ADDR that of parley serve")
	// errNothingNamed is returned where neither is there a parley serve nor do
	// settings name anything.
	errNothingNamed = errors.New("no parley serve runs here, and no setting names an installation (--service, PARLEY_NATS_URL and PARLEY_DATABASE_URL); " + besideServe)
	// errNoBucket is returned where the services have never run.
	errNoBucket = errors.New("this NATS has no records to compare; start the services, they make what is missing and compare by themselves")
	// errNotCompared is returned where some requests could not be compared.
	errNotCompared = errors.New("requests that could not be compared; the log names them")
)
