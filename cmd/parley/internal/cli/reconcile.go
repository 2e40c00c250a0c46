package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/orchestrator"
)

func reconcile(environ map[string]string) *cobra.Command {
	return &cobra.Command{
		Use:   "reconcile",
		Short: "Compare the records in NATS with the database, and make each good with the other",
		Long: `Compare the two places that remember privacy requests, the bucket dsr_requests
and the database of the orchestrator, after one of them was put back from a
copy. What only the database still knows is put back into the bucket, and what
the request waits for is ordered again; what only the bucket knows is projected
into the database. Nothing is taken away from either.

An orchestrator does the same whenever it starts, before requests move on. The
command is for an installation that runs, and for looking before it does: put
the copy back, run it, start the services. To run it again changes nothing.

Settings, those of the orchestrator:

  PARLEY_NATS_URL             the NATS of the services
  PARLEY_DATABASE_URL         the database of the orchestrator
  PARLEY_ENCRYPTION_KEYS      the keys of the services
  PARLEY_REQUEST_RETENTION    } as the orchestrator has them,
  PARLEY_DELIVERY_MAX_AGE     } where they are not the defaults
  PARLEY_IDENTITY_TTL         }

Without the first three, the NATS, the private Postgres and the keys of a parley
serve in PARLEY_DATA_DIR are used. Each request that is put back is a line of
the log, on standard error.

Exit code 0: everything was compared, and the summary says what was done.
Exit code 1: something was away, and one line says what; or some requests could
not be compared, and the log names them. What was done stays done.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return beside(cmd.Context(), environ, "orchestrator", func(ctx context.Context, s orchestrator.Settings, d process.Deps) error {
				s.DatabaseURL = ownDatabase(environ["PARLEY_DATABASE_URL"], s.DatabaseURL)
				if err := madeByServices(ctx, d); err != nil {
					return err
				}
				report, err := orchestrator.Reconcile(ctx, s, d)
				if err != nil {
					return err
				}
				if err := printReconciled(cmd.OutOrStdout(), report); err != nil {
					return err
				}
				if report.Failed > 0 {
					return fmt.Errorf("%w: %d", errNotCompared, report.Failed)
				}
				return nil
			})
		},
	}
}

// ownDatabase is the database that is named, where it is one of the
// orchestrator's own; otherwise the usual one on the same server.
func ownDatabase(named, usual string) string {
	u, err := url.Parse(named)
	if err != nil {
		return usual
	}
	switch strings.Trim(u.Path, "/") {
	case "", "config", "postgres":
		return usual
	}
	return named
}

// madeByServices says whether the services have ever run on this NATS: the
// command makes nothing that they own.
func madeByServices(ctx context.Context, d process.Deps) error {
	js, err := jetstream.New(d.NATS)
	if err != nil {
		return err
	}
	for _, name := range []string{topology.BucketRequests, topology.BucketIdentities, topology.BucketConfig} {
		_, err := js.KeyValue(ctx, name)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			return fmt.Errorf("%w: %s", errNoBucket, name)
		}
		if err != nil {
			return fmt.Errorf("look for the bucket %s: %w", name, err)
		}
	}
	return nil
}

func printReconciled(out io.Writer, r orchestrator.Reconciled) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "%d compared\trequests of the database that are not finished, or changed in the last 30 days\n", r.Compared)
	_, _ = fmt.Fprintf(w, "%d put back\tinto NATS: the database knew more of them\n", r.Restored)
	_, _ = fmt.Fprintf(w, "%d projected\tinto the database: NATS knew more of them\n", r.Projected)
	if r.Failed > 0 {
		_, _ = fmt.Fprintf(w, "%d failed\tcould not be read or written, and are as they were: the log names them\n", r.Failed)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if r.Replayed {
		_, _ = fmt.Fprintln(out, "The database had lost what it was told before: all records, and the facts since\nthen, are projected once more by the orchestrators that run.")
	}
	return nil
}
