package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/cmd/parley/internal/allinone"
	"github.com/parley-dsr/parley/internal/process"
)

func serve(environ map[string]string) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the four services in this process",
		Long:  serveHelp(),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return allinone.Run(cmd.Context(), allinone.Options{
				Environ: environ,
				Log:     os.Stderr,
				Ready:   func(i allinone.Info) { banner(cmd.OutOrStdout(), i) },
			})
		},
	}
}

func serveHelp() string {
	var b strings.Builder
	b.WriteString("Run config, orchestrator, dispatcher and callback in this process, with an\nembedded NATS server and a private Postgres, under one address.\n\n")
	b.WriteString("Settings come from the environment. Those of the services work too:\nparley-config, parley-orchestrator, parley-dispatcher and parley-callback list\ntheirs with --help. Those of the all-in-one itself:\n\n")
	process.PrintSettings[allinone.Settings](&b, allinone.Defaults())
	return b.String()
}

// banner is what a person needs to begin. The secret is shown when it has just
// been made, and never again; after that it says where it is.
func banner(w io.Writer, i allinone.Info) {
	line := func(name, value string) { _, _ = fmt.Fprintf(w, "  %-12s %s\n", name, value) }
	_, _ = fmt.Fprintf(w, "\nParley %s is ready after %s.\n\n", process.Version(), i.Took.Round(10*time.Millisecond))
	line("REST", i.Origin)
	line("NATS", i.NATSURL+"   (nats sub 'dsr.event.>' shows the life of every request)")
	line("data", i.DataDir)
	line("root client", i.RootClientID)
	switch {
	case i.Given:
		line("its secret", "that of PARLEY_ROOT_CLIENT_SECRET")
	case !i.Generated:
		line("its secret", "is in "+i.CredentialsFile)
	default:
		line("its secret", i.RootClientSecret)
		_, _ = fmt.Fprintf(w, "\nThe secret is shown this once. It is kept, with the encryption key, in\n%s.\n", i.CredentialsFile)
	}
	_, _ = fmt.Fprintf(w, "\nCtrl-C stops.\n\n")
}
