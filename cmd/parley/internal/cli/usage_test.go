package cli

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// TestWrongCommandLines: all commands tell them in the same way.
func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"serve --frob":             "unknown flag: --frob",
		"serve pri_1":              `unknown command "pri_1" for "parley serve"`,
		"listn":                    `unknown command "listn" for "parley", did you mean listen?`,
		"keys stats":               `unknown command "stats" for "parley keys", did you mean status?`,
		"nats frob":                `unknown command "frob" for "parley nats"`,
		"help frob":                `"frob" is no command of parley`,
		"help request frob":        `"frob" is no command of parley request`,
		"completion frob":          `unknown command "frob" for "parley completion"`,
		"--frob":                   "unknown flag: --frob",
		"listen --script x --halt": "if any flags in the group",
		"listen --derive phone":    "--derive takes name=value",
		"listen --origin nonsense": "--origin takes the address of Parley, such as http://",
		"listen --status 1":        "status is a number",
		"halts --limit 0":          "--limit takes a whole number",
		"doctor --service x":       "--service takes NAME=URL",
		"request watch *":          `"*" is not the id`,
	} {
		err := Run(t.Context(), strings.Fields(line), nil, io.Discard)
		var wrong *usageError
		if !errors.As(err, &wrong) || wrong.ExitCode() != 2 || !strings.HasPrefix(err.Error(), want) ||
			!strings.HasSuffix(err.Error(), "; --help says what it takes") || strings.ContainsAny(err.Error(), "\n\t") {
			t.Errorf("parley %s: %v", line, err)
		}
	}
	for _, line := range []string{"", "keys", "request", "help", "help request list", "--version", "serve --help"} {
		if err := Run(t.Context(), strings.Fields(line), nil, io.Discard); err != nil {
			t.Errorf("parley %s: %v", line, err)
		}
	}
}
