package events

import "testing"

func TestWithhold(t *testing.T) {
	t.Parallel()
	person := Person{
		Identity: map[string]any{
			"email": "ada@example.com", "phone_number": nil,
			"loyalty": map[string]any{"label": "Loyalty number", "value": float64(15555550123)},
			"tags":    map[string]any{"label": "Tags", "value": []any{"ada@example.com.au", "abc"}},
		},
		CustomFields:  map[string]any{"town": "Turin", "empty": "    "},
		EncryptionKey: "0123456789abcdef",
	}
	for message, want := range map[string]string{
		"The shop is closed":                              "The shop is closed",
		"no row for ADA@Example.com":                      "no row for [withheld]",
		"ada@example.com.au and ada@example.com":          "[withheld] and [withheld]",
		"Loyalty number 15555550123 of a person in Turin": "Loyalty number [withheld] of a person in [withheld]",
		"key 0123456789abcdef does not fit":               "key [withheld] does not fit",
		"abc is too short to be told from any word":       "abc is too short to be told from any word",
		"a gap of four    blanks":                         "a gap of four    blanks",
	} {
		if got := person.withhold(message); got != want {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
	}
}
