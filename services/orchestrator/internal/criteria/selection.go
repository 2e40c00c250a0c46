package criteria

import (
	"bytes"
	"encoding/json"
	"html"
	"unicode/utf8"

	"github.com/parley-dsr/parley/internal/identity"
)

const reasonAtMost = 32000

// Selection is the body of a bulk action: ids, or filters less some ids.
type Selection struct {
	RequestIDs []string `json:"request_ids"`
	Filters    *Search  `json:"filters"`
	ExcludeIDs []string `json:"exclude_ids"`
	// Reason of a denial or a cancellation, HTML-escaped as clients know it.
	Reason *string `json:"reason"`
}

// ReadSelection reads the body of a bulk action: an object, or just a list of
// ids.
func ReadSelection(raw json.RawMessage) (Selection, []identity.Problem) {
	raw = bytes.TrimSpace(raw)
	var s Selection
	if len(raw) > 0 && raw[0] == '[' {
		if err := json.Unmarshal(raw, &s.RequestIDs); err != nil {
			return s, problem("list_type", "Input should be a valid list of strings")
		}
		if len(s.RequestIDs) == 0 {
			return s, problem("value_error", textNothing)
		}
		return s, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if err := decoder.Decode(&s); err != nil {
		return s, problem("model_attributes_type", "Input should be a valid dictionary or object to extract fields from")
	}
	switch {
	case len(s.RequestIDs) > 0 && s.Filters != nil:
		return s, problem("value_error", "Value error, 'request_ids' and 'filters' are mutually exclusive. Please provide only one.")
	case len(s.RequestIDs) == 0 && s.Filters == nil:
		return s, problem("value_error", textNothing)
	case len(s.ExcludeIDs) > 0 && s.Filters == nil:
		return s, problem("value_error", "Value error, 'exclude_ids' can only be used with 'filters', not with 'request_ids'")
	}
	return s.escapeReason()
}

const textNothing = "Value error, At least one of 'request_ids' or 'filters' must be provided. 'request_ids' cannot be empty."

func (s Selection) escapeReason() (Selection, []identity.Problem) {
	if s.Reason == nil {
		return s, nil
	}
	escaped := escapeHTML(*s.Reason)
	if utf8.RuneCountInString(escaped) > reasonAtMost {
		return s, []identity.Problem{{
			Type: "string_too_long", Loc: []any{"body", "reason"}, Msg: "String should have at most 32000 characters",
		}}
	}
	s.Reason = &escaped
	return s, nil
}

// escapeHTML escapes as clients know it: quotes in hexadecimal and by name.
func escapeHTML(s string) string {
	var b bytes.Buffer
	for _, c := range s {
		switch c {
		case '\'':
			b.WriteString("&#x27;")
		case '"':
			b.WriteString("&quot;")
		default:
			b.WriteString(html.EscapeString(string(c)))
		}
	}
	return b.String()
}

func problem(kind, msg string) []identity.Problem {
	return []identity.Problem{{Type: kind, Loc: []any{"body"}, Msg: msg}}
}
