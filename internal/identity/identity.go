// Package identity is how a person is known: by standard fields such as an
// e-mail address, and by custom ones that carry a label. The same rules hold
// where a privacy request is created, where a webhook answers with a derived
// identity, and where a halted request is resumed with one.
//
// The package is pure. Parse takes JSON and says everything that is wrong with
// it at once, in the words that clients of the existing system know
// (contract §6.3). No message repeats a value, since messages reach logs and
// other people; only the names of custom identities appear, as they do there.
//
// An empty string in a standard field means that the field is not known. An
// e-mail address loses surrounding blanks and its domain is put in lower case,
// so that one address has one hash; everything else is kept as it was given.
package identity

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// Identity is what is known about a person. A nil field is unknown.
type Identity struct {
	PhoneNumber       *string
	Email             *string
	GAClientID        *string
	LJTReaderID       *string
	FidesUserDeviceID *string
	ExternalID        *string
	Custom            map[string]Labeled
}

// Labeled is a value with a label. The value is a string, an int64, or a []any
// of these two.
type Labeled struct {
	Label string `json:"label"`
	Value any    `json:"value"`
}

// field is one of the standard fields. Their order is that of the webhook body.
type field struct {
	name, label string
	of          func(*Identity) **string
	check       func(string) (clean string, problem *wrong)
}

// standard lists the standard fields in the order of contract §9.1.
func standard() [6]field {
	return [...]field{
		{"phone_number", "Phone number", func(i *Identity) **string { return &i.PhoneNumber }, checkPhone},
		{"email", "Email", func(i *Identity) **string { return &i.Email }, checkEmail},
		{"ga_client_id", "GA client ID", func(i *Identity) **string { return &i.GAClientID }, checkText},
		{"ljt_readerID", "LJT reader ID", func(i *Identity) **string { return &i.LJTReaderID }, checkText},
		{"fides_user_device_id", "Fides user device ID", func(i *Identity) **string { return &i.FidesUserDeviceID }, checkUUID},
		{"external_id", "External ID", func(i *Identity) **string { return &i.ExternalID }, checkText},
	}
}

// Empty says whether nothing is known: no field is set, and no custom identity
// has a value.
func (i Identity) Empty() bool {
	for _, f := range standard() {
		if *f.of(&i) != nil {
			return false
		}
	}
	for _, c := range i.Custom {
		if !emptyValue(c.Value) {
			return false
		}
	}
	return true
}

func emptyValue(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	default:
		return false
	}
}

// Fields returns the names of what is set: the standard fields in their order,
// then the custom ones by name.
func (i Identity) Fields() []string {
	names := []string{}
	for _, f := range standard() {
		if *f.of(&i) != nil {
			names = append(names, f.name)
		}
	}
	return append(names, slices.Sorted(maps.Keys(i.Custom))...)
}

// Over lays i over base: what i knows replaces what base knows, and the rest of
// base stays. Neither is changed.
func (i Identity) Over(base Identity) Identity {
	merged := base
	for _, f := range standard() {
		if value := *f.of(&i); value != nil {
			*f.of(&merged) = value
		}
	}
	if len(i.Custom) > 0 {
		merged.Custom = maps.Clone(base.Custom)
		if merged.Custom == nil {
			merged.Custom = make(map[string]Labeled, len(i.Custom))
		}
		maps.Copy(merged.Custom, i.Custom)
	}
	return merged
}

// Values returns each known value as the text by which it is found, by field
// name: a string as it is, anything else in JSON.
func (i Identity) Values() map[string]string {
	values := make(map[string]string)
	for _, f := range standard() {
		if value := *f.of(&i); value != nil {
			values[f.name] = *value
		}
	}
	for name, c := range i.Custom {
		if emptyValue(c.Value) {
			continue
		}
		if text, ok := c.Value.(string); ok {
			values[name] = text
		} else if encoded, err := json.Marshal(c.Value); err == nil {
			values[name] = string(encoded)
		}
	}
	return values
}

// Labeled is the identity as the REST answers show it (contract §6.1): all
// standard fields and the custom ones, each with its label; the value is null
// where it is unknown.
func (i Identity) Labeled() map[string]Labeled {
	shown := make(map[string]Labeled, len(i.Custom)+6)
	maps.Copy(shown, i.Custom)
	for _, f := range standard() {
		labeled := Labeled{Label: f.label}
		if value := *f.of(&i); value != nil {
			labeled.Value = *value
		}
		shown[f.name] = labeled
	}
	return shown
}

// MarshalJSON writes the identity as webhooks get it (contract §9.1): all
// standard fields in their order, null where unknown, then the custom ones by
// name.
func (i Identity) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, 256)
	write := func(value any) error {
		encoded, err := json.Marshal(value)
		out = append(out, encoded...)
		return err
	}
	for _, f := range standard() {
		out = append(out, ',')
		out = strconv.AppendQuote(out, f.name) // letters, and no others
		out = append(out, ':')
		if value := *f.of(&i); value == nil {
			out = append(out, "null"...)
		} else if err := write(*value); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.Custom)) {
		out = append(out, ',')
		if err := write(name); err != nil {
			return nil, err
		}
		out = append(out, ':')
		if err := write(i.Custom[name]); err != nil {
			return nil, err
		}
	}
	out[0] = '{' // in place of the first comma
	return append(out, '}'), nil
}
