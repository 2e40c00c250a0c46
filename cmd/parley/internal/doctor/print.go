package doctor

import (
	"fmt"
	"io"
)

// Print writes the report for people, a line a check, and below what is wrong
// what to do.
func (r Report) Print(w io.Writer) error {
	wrong := 0
	for _, c := range r.Checks {
		mark := map[State]string{OK: "OK   ", Wrong: "WRONG", Skipped: "-    "}[c.State]
		if _, err := fmt.Fprintf(w, "%s  %s: %s\n", mark, c.Name, c.Says); err != nil {
			return err
		}
		if c.State == Wrong {
			wrong++
		}
		if c.Do != "" {
			if _, err := fmt.Fprintf(w, "       %s\n", c.Do); err != nil {
				return err
			}
		}
	}
	if wrong == 0 {
		_, err := fmt.Fprintln(w, "Nothing is wrong.")
		return err
	}
	_, err := fmt.Fprintf(w, "%d of %d checks found something wrong.\n", wrong, len(r.Checks))
	return err
}
