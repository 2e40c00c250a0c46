package identity_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/identity"
)

// Whatever was stored once is read, and read as it was.
func TestStoredIdentities(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	for stored, want := range map[string]identity.Identity{
		`{}`:                                  {},
		` { "email" : "a@b.c" } `:             {Email: text("a@b.c")},
		`{"email":""}`:                        {},
		`{"email":null}`:                      {},
		`{"Email":{"label":"E","value":"x"}}`: {Custom: map[string]identity.Labeled{"Email": {Label: "E", Value: "x"}}},
		`{"email":"a","email":"b"}`:           {Email: text("b")},
		`{"email":"a","email":null}`:          {},
		"{\"email\":\"\xff\"}":                {Email: text("\ufffd")},
		`{"email":"\ud800 \u00e9\n"}`:         {Email: text("\ufffd é\n")},
		`{"phone_number":"older rules","ljt_readerID":"1"}`: {PhoneNumber: text("older rules"), LJTReaderID: text("1")},
		`{"ga_client_id":"2","fides_user_device_id":"3"}`:   {GAClientID: text("2"), FidesUserDeviceID: text("3")},
		`{"external_id":"4","n":{"value":-9007199254740993,"label":""}}`: {
			ExternalID: text("4"), Custom: map[string]identity.Labeled{"n": {Value: int64(-9007199254740993)}},
		},
		`{"l":{"label":"L","value":["a",1],"more":{}},"m":{"label":"M","value":[]}}`: {
			Custom: map[string]identity.Labeled{"l": {Label: "L", Value: []any{"a", int64(1)}}, "m": {Label: "M", Value: []any{}}},
		},
	} {
		var got identity.Identity
		if err := json.Unmarshal([]byte(stored), &got); err != nil {
			t.Errorf("%s: %v", stored, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", stored, diff)
		}
	}
	for _, other := range []string{
		`null`, `[]`, `"x"`, `1`, `{"email":1}`, `{"email":{}}`, `{"email":[]}`, `{"email":true}`, `{"x":"y"}`, `{"x":null}`,
		`{"x":{"label":1,"value":"y"}}`, `{"x":{"label":"l","value":1.5}}`, `{"x":{"label":"l"}}`, `{"x":{"label":"l","value":{}}}`,
	} {
		if err := json.Unmarshal([]byte(other), new(identity.Identity)); err == nil {
			t.Errorf("%s was read", other)
		}
	}
}
