package cli

import (
	"context"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/allinone"
	"github.com/parley-dsr/parley/internal/process"
)

// connectWithin is how long a command beside a running installation may wait
// for NATS. What it does afterwards takes as long as it takes.
const connectWithin = 10 * time.Second

// beside runs do with the settings and dependencies of a service that runs
// elsewhere, and as its user of NATS.
func beside[S interface{ Shared() process.Settings }](ctx context.Context, environ map[string]string, service string, do func(context.Context, S, process.Deps) error) error {
	made, err := allinone.Attach(environ, service)
	if err != nil {
		return err
	}
	defaults := allinone.Defaults()
	defaults["PARLEY_LOG_LEVEL"] = "warn" // what a command has to say it prints
	settings, err := process.Load[S](made, defaults)
	if err != nil {
		return err
	}
	deps, stop, err := process.NewDeps(ctx, service, settings.Shared())
	if err != nil {
		return err
	}
	defer stop()
	waiting, cancel := context.WithTimeoutCause(ctx, connectWithin, errNoNATS)
	defer cancel()
	if err := process.AwaitNATS(waiting, deps.NATS, nil); err != nil {
		if context.Cause(waiting) == errNoNATS { //nolint:errorlint // the cause is set above
			return errNoNATS
		}
		return err
	}
	return do(ctx, settings, deps)
}
