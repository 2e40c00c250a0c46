package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/orchestrator"
)

// progressEvery is the pause between two lines of progress.
const progressEvery = time.Second

func readModel(environ map[string]string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "readmodel",
		Short: "Look after the database that lists and searches are read from",
	}
	cmd.AddCommand(readModelRebuild(environ))
	return cmd
}

func readModelRebuild(environ map[string]string) *cobra.Command {
	return &cobra.Command{
		Use:   "rebuild",
		Short: "Project everything that NATS knows into the database once more",
		Long: `Project the records of all requests, and the facts about them within their
retention (PARLEY_EVENT_RETENTION), into the database of the orchestrator once
more: for a database that was emptied or changed by hand, or after an upgrade
whose notes ask for it. Records replace what the database has; log entries and
calls that it lacks are added. Nothing is taken away: what only the database
knows stays, and is counted.

Services may run meanwhile, and requests go on. They share the work; without
them the command does it alone. Until it has come past, a request may be shown as
it was before. To run it again does no harm.

Settings, those of the orchestrator:

  PARLEY_NATS_URL          the NATS of the services
  PARLEY_DATABASE_URL      the database of the orchestrator
  PARLEY_ENCRYPTION_KEYS   the keys of the services

Without them, the NATS, the private Postgres and the keys of a parley serve in
PARLEY_DATA_DIR are used. Progress is told on standard error, the result on
standard output.

Exit code 0: everything that NATS had at the begin is projected.
Exit code 1: something was away, or the command was interrupted; one line says
what. Services that run go on with it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return beside(cmd.Context(), environ, "orchestrator", func(ctx context.Context, s orchestrator.Settings, d process.Deps) error {
				s.DatabaseURL = ownDatabase(environ["PARLEY_DATABASE_URL"], s.DatabaseURL)
				if err := madeByServices(ctx, d); err != nil {
					return err
				}
				begun := time.Now()
				done, err := orchestrator.RebuildReadModel(ctx, s, d, progressOn(cmd.ErrOrStderr(), time.Now))
				if errors.Is(err, context.Canceled) {
					return errors.New("interrupted: services that run go on with the rebuild")
				}
				if err != nil {
					return err
				}
				return printRebuilt(cmd.OutOrStdout(), done, time.Since(begun))
			})
		},
	}
}

// progressOn writes a line now and then, and whenever a feed is through.
func progressOn(out io.Writer, clock func() time.Time) func(orchestrator.Rebuilt) {
	var last time.Time
	var said orchestrator.Rebuilt
	through := func(r orchestrator.Rebuilt) int {
		n := 0
		for _, p := range []orchestrator.Passage{r.Records, r.Facts} {
			if p.Done == p.Total {
				n++
			}
		}
		return n
	}
	return func(r orchestrator.Rebuilt) {
		now := clock()
		if !last.IsZero() && (r == said || now.Sub(last) < progressEvery && through(r) == through(said)) {
			return
		}
		last, said = now, r
		_, _ = fmt.Fprintf(out, "records %d of %d, facts %d of %d\n", r.Records.Done, r.Records.Total, r.Facts.Done, r.Facts.Total)
	}
}

func printRebuilt(out io.Writer, r orchestrator.Rebuilt, took time.Duration) error {
	_, err := fmt.Fprintf(out, "%d records and %d facts were projected in %s.\n", r.Records.Total, r.Facts.Total, took.Round(10*time.Millisecond))
	if err == nil && r.Alone > 0 {
		_, err = fmt.Fprintf(out, "%d requests are known to the database alone, and stay as they were; parley reconcile\nputs those back into NATS that it should have.\n", r.Alone)
	}
	return err
}
