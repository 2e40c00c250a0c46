package cli

import (
	"context"
	"fmt"
	"maps"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/cmd/parley/internal/allinone"
	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
	"github.com/parley-dsr/parley/internal/process"
)

// asksHelp is the end of the help of a command that asks a running system.
const asksHelp = `

PARLEY_URL, or --url, is the address of the system. PARLEY_CLIENT_ID and
PARLEY_CLIENT_SECRET are the credentials of an API client; PARLEY_ACCESS_TOKEN
is a token in place of both. With none of them set it is the parley serve of
this machine, and the root client that its data folder (PARLEY_DATA_DIR) knows.
`

// asks gives a command the flag --url.
func asks(cmd *cobra.Command, url *string) {
	asksFor(cmd, url, "The command ends with 0, or with 1 and one line that says what is wrong, or with 2\nwhere the command line is.")
}

// asksFor is asks for a command that ends in its own ways.
func asksFor(cmd *cobra.Command, url *string, ends string) {
	cmd.Long += asksHelp + ends
	cmd.Flags().StringVar(url, "url", "", "address of the REST edge (PARLEY_URL)")
}

// ask logs in to the system that the flag and the environment name.
func ask(ctx context.Context, environ map[string]string, url string) (*rest.Client, error) {
	environ = maps.Clone(environ)
	if environ == nil {
		environ = map[string]string{}
	}
	if url != "" {
		environ["PARLEY_URL"] = url
	}
	var local map[string]string
	if given := environ["PARLEY_URL"] + environ["PARLEY_ACCESS_TOKEN"] + environ["PARLEY_CLIENT_ID"] + environ["PARLEY_CLIENT_SECRET"]; given == "" {
		door, err := allinone.DoorOf(environ)
		if err != nil {
			return nil, err
		}
		local = map[string]string{"PARLEY_URL": door.URL, "PARLEY_CLIENT_ID": door.ClientID, "PARLEY_CLIENT_SECRET": door.ClientSecret}
	}
	settings, err := process.Load[rest.Settings](environ, local)
	if err != nil && local != nil {
		return nil, fmt.Errorf("%w; %s", err, besideServe)
	}
	if err != nil {
		return nil, err
	}
	return rest.Open(ctx, settings)
}
