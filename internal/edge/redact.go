package edge

import (
	"fmt"
	"regexp"
)

// What errors repeat of their input they put in quotes, Go by %q, Postgres and
// HTTP libraries likewise; what looks like an address or a number of a person
// goes too.
var (
	quoted   = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']*'|` + "`[^`]*`")
	personal = regexp.MustCompile(`\S+@\S+|\+?\d[\d ()-]{6,}\d|eyJ[\w.-]+`)
)

// redact gives the text of an error without the values in it, and the type of
// its root, which tells a programmer what the text no longer does.
func redact(err error) string {
	text := quoted.ReplaceAllString(err.Error(), `"…"`)
	text = personal.ReplaceAllString(text, "…")
	return fmt.Sprintf("%s (%T)", text, root(err))
}

func root(err error) error {
	for {
		wrapper, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		inner := wrapper.Unwrap()
		if inner == nil {
			return err
		}
		err = inner
	}
}
