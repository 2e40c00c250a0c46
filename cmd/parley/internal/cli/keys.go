package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/cmd/parley/internal/ring"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/rotation"
	"github.com/parley-dsr/parley/services/config"
	"github.com/parley-dsr/parley/services/orchestrator"
)

func keys(environ map[string]string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Rotate encryption keys",
		Long: `Rotate the keys of PARLEY_ENCRYPTION_KEYS while everything runs:

  1. put the new key behind the old one, and restart the services one by one;
  2. put the new key first, and restart the services, config last;
  3. parley keys reseal
  4. parley keys status, until it says that the old key can go;
  5. take the old key out, and restart the services.

With one process (parley serve) the first step is not needed. The commands take
the same PARLEY_ENCRYPTION_KEYS as the services. PARLEY_DATABASE_URL names the
server; the databases config and orchestrator on it are used. Without it, and
without PARLEY_NATS_URL, those of the parley serve in PARLEY_DATA_DIR are.`,
	}
	cmd.AddCommand(keysStatus(environ), keysReseal(environ))
	return cmd
}

func keysStatus(environ map[string]string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say what each key is still needed for, and when it can go",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := keysReport(cmd.Context(), environ)
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(report)
			}
			return printReport(cmd.OutOrStdout(), report)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func keysReport(ctx context.Context, environ map[string]string) (ring.Report, error) {
	var known []config.Key
	var places []*rotation.Place
	err := beside(ctx, environ, "config", func(ctx context.Context, s config.Settings, d process.Deps) (err error) {
		known, places, err = config.KeyUse(ctx, s, d)
		return err
	})
	if err != nil {
		return ring.Report{}, err
	}
	sealedUntil := map[string]time.Time{}
	for _, k := range known {
		if !k.SealedUntil.IsZero() {
			sealedUntil[k.KID] = k.SealedUntil
		}
	}
	err = beside(ctx, environ, "orchestrator", func(ctx context.Context, s orchestrator.Settings, d process.Deps) error {
		more, err := orchestrator.KeyUse(ctx, s, d, sealedUntil)
		places = append(places, more...)
		return err
	})
	if err != nil {
		return ring.Report{}, err
	}
	return ring.NewReport(known, places, time.Now()), nil
}

func printReport(out io.Writer, report ring.Report) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, k := range report.Keys {
		_, _ = fmt.Fprintf(w, "key %s  (fingerprint %s)  %s\n", k.KID, k.Fingerprint, k.Role())
		for _, use := range k.Uses {
			_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\n", use.Place, use.Number(), use.End())
		}
		_, _ = fmt.Fprintf(w, "  %s\n\n", k.Verdict())
	}
	return w.Flush()
}

func keysReseal(environ map[string]string) *cobra.Command {
	return &cobra.Command{
		Use:   "reseal",
		Short: "Seal everything that is stored again with the first key",
		Long: `Seal what is stored again with the first key of PARLEY_ENCRYPTION_KEYS: the
secrets of connections, their OAuth settings, masking configurations, requests
and the vault. Services may run, and secrets may change meanwhile. What cannot
be opened is left; what is being written is left too, run the command again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var done []rotation.Resealed
			err := beside(cmd.Context(), environ, "config", func(ctx context.Context, s config.Settings, d process.Deps) (err error) {
				done, err = config.Reseal(ctx, s, d)
				return err
			})
			if err == nil {
				err = beside(cmd.Context(), environ, "orchestrator", func(ctx context.Context, s orchestrator.Settings, d process.Deps) error {
					more, err := orchestrator.Reseal(ctx, s, d)
					done = append(done, more...)
					return err
				})
			}
			return printResealed(cmd.OutOrStdout(), done, err)
		},
	}
}

// printResealed tells what was done also where an error ended it.
func printResealed(out io.Writer, done []rotation.Resealed, err error) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, d := range done {
		left := ""
		if d.Left > 0 {
			left = fmt.Sprintf("%d left as they are", d.Left)
		}
		_, _ = fmt.Fprintf(w, "%s\t%d sealed again\t%s\n", d.Place, d.Done, left)
	}
	if flushed := w.Flush(); err == nil {
		err = flushed
	}
	return err
}
