package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/config"
)

func configuration(environ map[string]string) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Look after the configuration that the services share"}
	cmd.AddCommand(&cobra.Command{
		Use:   "republish",
		Short: "Rebuild the bucket dsr_config from the database",
		Long: `Rebuild the bucket dsr_config, from which the services read connections,
policies, webhooks, API clients and settings, out of the database of the config
service. The service does so itself whenever it starts; this command does it
while the service runs, after the bucket was lost or put back from a copy.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return beside(cmd.Context(), environ, "config", func(ctx context.Context, s config.Settings, d process.Deps) error {
				n, err := config.Republish(ctx, s, d)
				if err == nil {
					_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%d entries stand in the bucket dsr_config.\n", n)
				}
				return err
			})
		},
	})
	return cmd
}
