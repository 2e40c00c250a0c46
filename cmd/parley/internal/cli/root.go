// Package cli is the command line of parley: the all-in-one and the demo.
package cli

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/internal/process"
)

// Run runs the command line. Settings come from environ, everything that is
// printed goes to out.
func Run(ctx context.Context, args []string, environ map[string]string, out io.Writer) error {
	root := &cobra.Command{
		Use:           "parley",
		Short:         "Event-driven webhooks for privacy requests",
		Long:          "Parley runs the webhooks of privacy requests: it calls other systems before and\nafter a request is executed, halts and resumes, and tells everything by events.\n\nA wrong command line ends with exit code 2.",
		Version:       process.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(out)
	root.SetErr(os.Stderr)
	root.SetArgs(args)
	root.AddCommand(serve(environ), demo(environ), lanes(environ), configuration(environ), keys(environ), reconcile(environ))
	root.AddCommand(halts(environ), listen(), request(environ), readModel(environ), natsUsers(), examine(environ))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	checkUse(root)
	return root.ExecuteContext(ctx)
}
