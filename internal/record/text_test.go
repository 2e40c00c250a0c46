package record_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/parley-dsr/parley/internal/record"
)

func TestLogText(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 1000)
	for said, want := range map[string]string{
		"":                            "",
		"3 of 7 tables":               "3 of 7 tables",
		" a\r\n\tb\u00a0 c ":          "a b c",
		"a\x00b\x1b[31mc\u202ed":      "ab[31mcd",
		"bad \xff\xfe utf-8":          "bad utf-8",
		long:                          long,
		long + "x":                    strings.Repeat("ä", 999) + "…",
		strings.Repeat(" \x00", 5000): "",
	} {
		got := record.LogText(said)
		if got != want || !utf8.ValidString(got) || record.LogText(got) != got {
			t.Errorf("%.40q becomes %.40q, want %.40q", said, got, want)
		}
	}
}
