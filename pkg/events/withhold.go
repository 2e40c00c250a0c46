package events

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// withheld stands in a message for what is personal.
	withheld = "[withheld]"
	// withheldFrom is the length in characters from which a value is looked
	// for: a shorter one would be found in words that have nothing to do with it.
	withheldFrom = 4
)

// withhold takes out of a message what the execution knows of the person:
// identities, custom fields and the encryption key, in any case. It is a second
// line, for values that got into a text by mistake; it does not know names or
// addresses that the executor read elsewhere.
func (p Person) withhold(message string) string {
	values := []string{p.EncryptionKey}
	for _, known := range []map[string]any{p.Identity, p.CustomFields} {
		for _, v := range known {
			values = append(values, texts(v)...)
		}
	}
	values = slices.DeleteFunc(values, func(v string) bool {
		return utf8.RuneCountInString(v) < withheldFrom || strings.TrimSpace(v) == ""
	})
	slices.SortFunc(values, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // none may hide a part of another
	for _, v := range values {
		message = regexp.MustCompile("(?i)"+regexp.QuoteMeta(v)).ReplaceAllLiteralString(message, withheld)
	}
	return message
}

// texts are the values in v as a message would show them. What has a label
// is its value.
func texts(v any) []string {
	var all []string
	switch v := v.(type) {
	case string:
		all = append(all, v)
	case float64: // as JSON decodes numbers
		all = append(all, strconv.FormatFloat(v, 'f', -1, 64))
	case []any:
		for _, one := range v {
			all = append(all, texts(one)...)
		}
	case map[string]any:
		for name, one := range v {
			if name != "label" {
				all = append(all, texts(one)...)
			}
		}
	}
	return all
}
