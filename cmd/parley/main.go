// Command parley is the all-in-one of Parley, for a laptop and for tests, and
// the operator's command line.
package main

import (
	"context"
	"os"

	"github.com/parley-dsr/parley/cmd/parley/internal/cli"
	"github.com/parley-dsr/parley/internal/process"
)

func main() {
	process.Main("parley", func(ctx context.Context, environ map[string]string) error {
		return cli.Run(ctx, os.Args[1:], environ, os.Stdout)
	})
}
