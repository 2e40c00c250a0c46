package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/pkg/events"
)

const requestHelp = `Look at privacy requests and move them on.

Commands that take ids take several, and say for each what became of it. With
--json they print it as JSON. Identities, custom fields and external ids, which
may be personal, are left out unless --identities asks for them.

` + requestEnds

const requestEnds = `Exit code 0: all was done. Exit code 1: something was refused or failed, and a
line on standard error says how much. Exit code 2: the command line was wrong.`

func request(environ map[string]string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "request",
		Short: "List privacy requests, show, approve, deny, cancel, retry, resume, watch them",
		Long:  requestHelp,
	}
	cmd.AddCommand(requestList(environ), requestShow(environ), requestWatch(environ))
	for _, c := range changes() {
		cmd.AddCommand(requestChange(environ, c))
	}
	return cmd
}

// requestIDs checks the ids that are named, and drops what is named twice.
func requestIDs(args []string) ([]string, error) {
	var ids []string
	for _, id := range args {
		switch {
		case !events.ValidToken(id):
			return nil, wrongUse("%q is not the id of a privacy request", id)
		case !slices.Contains(ids, id):
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// errIncomplete is the end of a command that could not do all that it was asked
// for; what failed is printed.
var errIncomplete = errors.New("not all was done")

func incomplete(failed, all int, what string) error {
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d of %d requests %s", errIncomplete, failed, all, what)
}

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// plain is a text as it may go to a terminal: others have a say in it, and what
// would move the cursor or change colors is left out.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return plain(s)
}
