package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// timeline prints what happens on the left and the events on the right, each
// with the seconds since the beginning.
type timeline struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

const leftWidth = 62

func newTimeline(out io.Writer) *timeline { return &timeline{out: out, start: time.Now()} }

func (t *timeline) heading(left, right string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = fmt.Fprintf(t.out, "\n%8s  %s%s\n", "seconds", pad(left), right)
	_, _ = fmt.Fprintf(t.out, "%8s  %s%s\n", "-------", pad(strings.Repeat("-", len(left))), strings.Repeat("-", len(right)))
}

func (t *timeline) left(what string)  { t.print(what, "") }
func (t *timeline) right(what string) { t.print("", what) }

func (t *timeline) print(left, right string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := fmt.Sprintf("%8.3f  %s%s", time.Since(t.start).Seconds(), pad(left), right)
	_, _ = fmt.Fprintln(t.out, strings.TrimRight(line, " "))
}

func pad(s string) string {
	return s + strings.Repeat(" ", max(leftWidth-utf8.RuneCountInString(s), 1))
}
