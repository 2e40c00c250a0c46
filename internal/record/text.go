package record

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// logTextAtMost bounds, in characters, a text of a log entry that comes from
// outside.
const logTextAtMost = 1000

// LogText makes what an executor says fit for a log entry: one line of at most
// 1000 characters. White space, of any kind and length, becomes one blank;
// control characters, which no database and no terminal takes well, and what is
// no text at all are left out; what is cut off ends in an ellipsis.
func LogText(s string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
	clean = strings.Join(strings.Fields(clean), " ")
	if utf8.RuneCountInString(clean) <= logTextAtMost {
		return clean
	}
	return string([]rune(clean)[:logTextAtMost-1]) + "…"
}
