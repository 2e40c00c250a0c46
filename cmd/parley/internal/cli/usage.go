package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// usageError is a command line that cannot be understood.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() + "; --help says what it takes" }
func (e *usageError) Unwrap() error { return e.err }

// ExitCode is the exit code of the process.
func (e *usageError) ExitCode() int { return 2 }

func wrongUse(format string, values ...any) error {
	return &usageError{fmt.Errorf(format, values...)}
}

// checkUse has a command and all below it tell a wrong command line in the same
// way. One that only has others below it shows its help.
func checkUse(cmd *cobra.Command) {
	check := cmd.Args
	switch {
	case cmd.Name() == "help":
		check = isTopic
	case cmd.HasSubCommands() && !cmd.Runnable():
		check = knowsNoCommand
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	case check == nil:
		check = cobra.ArbitraryArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		for _, err := range []error{check(cmd, args), cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()} {
			if err != nil {
				return &usageError{err}
			}
		}
		return nil
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	for _, below := range cmd.Commands() {
		checkUse(below)
	}
}

// isTopic is the check of help, which takes the words of a command.
func isTopic(cmd *cobra.Command, args []string) error {
	topic, rest, err := cmd.Root().Find(args)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%q is no command of %s", rest[0], topic.CommandPath())
	}
	return err
}

// suggestedFrom is how many letters may differ in what was meant.
const suggestedFrom = 2

// knowsNoCommand is the check of a command that only has others below it: what
// is left is none of them.
func knowsNoCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = suggestedFrom
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		text += ", did you mean " + strings.Join(meant, " or ") + "?"
	}
	return errors.New(text)
}
