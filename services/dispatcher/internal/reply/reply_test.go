package reply

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/identity"
)

func text(s string) *string { return &s }

func TestParse(t *testing.T) {
	t.Parallel()
	phone := identity.Identity{PhoneNumber: text("+15555555555")}
	tests := []struct {
		name, body string
		want       Answer
		problem    string
	}{
		{"go on", `{"halt": false}`, Answer{}, ""},
		{"halt", `{"halt": true}`, Answer{Halt: true}, ""},
		{"unknown keys", `{"halt": false, "note": {"a": [1]}}`, Answer{}, ""},
		{"halt as true text", `{"halt": "true"}`, Answer{Halt: true}, ""},
		{"halt as True text", `{"halt": "True"}`, Answer{Halt: true}, ""},
		{"halt as yes", `{"halt": "YES"}`, Answer{Halt: true}, ""},
		{"halt as y", `{"halt": "y"}`, Answer{Halt: true}, ""},
		{"halt as on", `{"halt": "on"}`, Answer{Halt: true}, ""},
		{"halt as t", `{"halt": "T"}`, Answer{Halt: true}, ""},
		{"halt as 1 text", `{"halt": "1"}`, Answer{Halt: true}, ""},
		{"halt as 1", `{"halt": 1}`, Answer{Halt: true}, ""},
		{"halt as 1.0", `{"halt": 1.0}`, Answer{Halt: true}, ""},
		{"halt as false text", `{"halt": "false"}`, Answer{}, ""},
		{"halt as no", `{"halt": "No"}`, Answer{}, ""},
		{"halt as n", `{"halt": "n"}`, Answer{}, ""},
		{"halt as off", `{"halt": "off"}`, Answer{}, ""},
		{"halt as f", `{"halt": "f"}`, Answer{}, ""},
		{"halt as 0", `{"halt": 0}`, Answer{}, ""},
		{"halt as 0 text", `{"halt": "0"}`, Answer{}, ""},
		{"halt as 2", `{"halt": 2}`, Answer{}, haltUnclear},
		{"halt as other text", `{"halt": "perhaps"}`, Answer{}, haltUnclear},
		{"halt as empty text", `{"halt": ""}`, Answer{}, haltUnclear},
		{"halt with blanks", `{"halt": " true"}`, Answer{}, haltUnclear},
		{"halt as list", `{"halt": [true]}`, Answer{}, haltUnclear},
		{"halt as object", `{"halt": {}}`, Answer{}, haltUnclear},
		{"halt missing", `{"note": 1}`, Answer{}, haltMissing},
		{"halt missing beside an identity", `{"derived_identity": {"phone_number": "+15555555555"}}`, Answer{}, haltMissing},
		{"halt null", `{"halt": null}`, Answer{}, haltNull},
		{"halt in capitals is another key", `{"Halt": true}`, Answer{}, haltMissing},
		{"empty object", `{}`, Answer{}, ""},
		{"null", `null`, Answer{}, ""},
		{"empty list", `[]`, Answer{}, ""},
		{"zero", `0`, Answer{}, ""},
		{"zero with a fraction", `-0.0`, Answer{}, ""},
		{"empty text", `""`, Answer{}, ""},
		{"false", `false`, Answer{}, ""},
		{"byte order mark", "\xef\xbb\xbf{\"halt\": true}", Answer{Halt: true}, ""},
		{"blanks around", " \r\n{\"halt\": true}\n", Answer{Halt: true}, ""},
		{"true", `true`, Answer{}, notObject},
		{"number", `7`, Answer{}, notObject},
		{"text", `"halt"`, Answer{}, notObject},
		{"list", `[{"halt": true}]`, Answer{}, notObject},
		{"nothing", ``, Answer{}, notJSON},
		{"blanks", `  `, Answer{}, notJSON},
		{"html", `<html>jane@example.com</html>`, Answer{}, notJSON},
		{"cut off", `{"halt": tr`, Answer{}, notJSON},
		{"two values", `{"halt": true} {"halt": false}`, Answer{}, notJSON},
		{"rest behind", `{"halt": true} ok`, Answer{}, notJSON},
		{"identity null", `{"halt": false, "derived_identity": null}`, Answer{}, ""},
		{"identity empty", `{"halt": false, "derived_identity": {}}`, Answer{}, ""},
		{"identity of nulls", `{"halt": false, "derived_identity": {"email": null}}`, Answer{}, ""},
		{"identity", `{"halt": false, "derived_identity": {"phone_number": "+15555555555"}}`, Answer{Derived: phone}, ""},
		{"identity and halt", `{"halt": true, "derived_identity": {"phone_number": "+15555555555", "email": null}}`, Answer{Halt: true, Derived: phone}, ""},
		{"custom identity", `{"halt": false, "derived_identity": {"loyalty": {"label": "Loyalty", "value": 12}}}`,
			Answer{Derived: identity.Identity{Custom: map[string]identity.Labeled{"loyalty": {Label: "Loyalty", Value: int64(12)}}}}, ""},
		{"identity is a text", `{"halt": false, "derived_identity": "jane@example.com"}`, Answer{}, derivedObject},
		{"identity is a list", `{"halt": false, "derived_identity": []}`, Answer{}, derivedObject},
		{"identity too large", `{"halt": true, "derived_identity": {"loyalty": {"label": "l", "value": "` + strings.Repeat("x", maxDerived) + `"}}}`,
			Answer{}, derivedLarge},
		{"bad e-mail", `{"halt": true, "derived_identity": {"email": "jane-secret"}}`, Answer{}, describe([]any{"email"})},
		{"bad phone", `{"halt": true, "derived_identity": {"phone_number": "0155-secret"}}`, Answer{}, describe([]any{"phone_number"})},
		{"bad device", `{"halt": true, "derived_identity": {"fides_user_device_id": "secret"}}`, Answer{}, describe([]any{"fides_user_device_id"})},
		{"number for a text", `{"halt": true, "derived_identity": {"ga_client_id": 5}}`, Answer{}, describe([]any{"ga_client_id"})},
		{"unlabeled custom identity", `{"halt": true, "derived_identity": {"jane@secret.example": "secret"}}`, Answer{}, describe(nil)},
		{"two problems", `{"halt": "secret", "derived_identity": {"email": "secret"}}`, Answer{}, haltUnclear + "; " + describe([]any{"email"})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse([]byte(test.body))
			if problem := problemOf(t, err); problem != test.problem {
				t.Fatalf("problem %q, want %q", problem, test.problem)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func problemOf(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var problem *Error
	if !errors.As(err, &problem) {
		t.Fatalf("error %T, want *Error", err)
	}
	if strings.Contains(problem.Error(), "secret") || strings.Contains(problem.Error(), "jane") {
		t.Errorf("%q repeats the answer", problem)
	}
	return problem.Error()
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"halt": true, "derived_identity": {"email": "a@example.com"}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		answer, err := Parse(body)
		if err != nil && (answer.Halt || !answer.Derived.Empty()) {
			t.Error("an answer that is refused says nothing")
		}
	})
}
