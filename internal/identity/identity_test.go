package identity_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/identity"
)

const everything = `{
	"email": " Customer-1@Example.COM ", "phone_number": "+15558675309", "ga_client_id": "ga", "ljt_readerID": "ljt",
	"fides_user_device_id": "051b219f-20e4-45df-82f7-5eb68a00889f", "external_id": "ext",
	"loyalty": {"label": "Loyalty card", "value": 123},
	"accounts": {"label": "Accounts", "value": ["a", 2]}
}`

func parse(t *testing.T, raw string) identity.Identity {
	t.Helper()
	read, problems := identity.Parse(json.RawMessage(raw))
	if len(problems) > 0 {
		t.Fatalf("%s: %v", raw, problems)
	}
	return read
}

func text(s string) *string { return &s }

func TestParse(t *testing.T) {
	t.Parallel()
	want := identity.Identity{
		Email: text("Customer-1@example.com"), PhoneNumber: text("+15558675309"), GAClientID: text("ga"),
		LJTReaderID: text("ljt"), FidesUserDeviceID: text("051b219f-20e4-45df-82f7-5eb68a00889f"), ExternalID: text("ext"),
		Custom: map[string]identity.Labeled{
			"loyalty":  {Label: "Loyalty card", Value: int64(123)},
			"accounts": {Label: "Accounts", Value: []any{"a", int64(2)}},
		},
	}
	if diff := cmp.Diff(want, parse(t, everything)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(identity.Identity{}, parse(t, `{"email":null,"phone_number":"","ga_client_id":""}`)); diff != "" {
		t.Error(diff)
	}
}

func TestParseProblems(t *testing.T) {
	t.Parallel()
	const (
		notObject = "Input should be a valid dictionary or object to extract fields from"
		phone     = "Value error, Phone number must be formatted in E.164 format, i.e. '+15558675309'."
		email     = "value is not a valid email address: "
		unlabeled = `Value error, Custom identity "card" must be an instance of LabeledIdentity (e.g. {"label": "Field label", "value": "123"})`
	)
	at := func(kind, msg string, loc ...any) identity.Problem {
		return identity.Problem{Type: kind, Loc: append([]any{"body", 0, "identity"}, loc...), Msg: msg}
	}
	for name, c := range map[string]struct {
		raw  string
		want []identity.Problem
	}{
		"list":           {`[]`, []identity.Problem{at("model_attributes_type", notObject)}},
		"null":           {`null`, []identity.Problem{at("model_attributes_type", notObject)}},
		"text":           {`"a@example.com"`, []identity.Problem{at("model_attributes_type", notObject)}},
		"more than one":  {`{} {}`, []identity.Problem{at("model_attributes_type", notObject)}},
		"number":         {`{"ga_client_id":1}`, []identity.Problem{at("string_type", "Input should be a valid string", "ga_client_id")}},
		"no at-sign":     {`{"email":"secret"}`, []identity.Problem{at("value_error", email+"An email address must have an @-sign.", "email")}},
		"empty e-mail":   {`{"email":""}`, []identity.Problem{at("value_error", email+"An email address must have an @-sign.", "email")}},
		"device":         {`{"fides_user_device_id":"secret"}`, []identity.Problem{at("value_error", "Value error, badly formed hexadecimal UUID string", "fides_user_device_id")}},
		"NUL":            {`{"external_id":"secret\u0000"}`, []identity.Problem{at("value_error", "Value error, NUL characters are not allowed", "external_id")}},
		"bare custom":    {`{"card":"secret"}`, []identity.Problem{at("value_error", unlabeled)}},
		"null custom":    {`{"card":null}`, []identity.Problem{at("value_error", unlabeled)}},
		"no label":       {`{"card":{"value":"secret"}}`, []identity.Problem{at("value_error", unlabeled)}},
		"no value":       {`{"card":{"label":"Card"}}`, []identity.Problem{at("value_error", unlabeled)}},
		"fraction":       {`{"card":{"label":"Card","value":1.5}}`, []identity.Problem{at("value_error", unlabeled)}},
		"boolean":        {`{"card":{"label":"Card","value":true}}`, []identity.Problem{at("value_error", unlabeled)}},
		"object in list": {`{"card":{"label":"Card","value":[{}]}}`, []identity.Problem{at("value_error", unlabeled)}},
		"all of it":      {`{"card":1,"phone_number":"secret","email":"secret"}`, []identity.Problem{at("value_error", phone, "phone_number"), at("value_error", email+"An email address must have an @-sign.", "email"), at("value_error", unlabeled)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read, problems := identity.Parse(json.RawMessage(c.raw), "body", 0, "identity")
			if diff := cmp.Diff(c.want, problems); diff != "" {
				t.Error(diff)
			}
			if !read.Empty() {
				t.Error("not empty")
			}
			if shown, _ := json.Marshal(problems); strings.Contains(string(shown), "secret") {
				t.Errorf("a value in %s", shown)
			}
		})
	}
}

func TestPhone(t *testing.T) {
	t.Parallel()
	for phone, valid := range map[string]bool{
		"+15558675309": true, "+12345678": true, "+123456789012345": true, "": true,
		"+1234567": false, "+1234567890123456": false, "15558675309": false, "+05558675309": false,
		"+1555867530a": false, "+1 5558675309": false, "+15558675309\n": false, "+1555867530٣": false,
	} {
		raw, _ := json.Marshal(map[string]string{"phone_number": phone})
		if _, problems := identity.Parse(raw); (len(problems) == 0) != valid {
			t.Errorf("%q: %v", phone, problems)
		}
	}
}

func TestEmail(t *testing.T) {
	t.Parallel()
	for email, valid := range map[string]bool{
		"a@example.com": true, "a.b+c@sub.example.co.uk": true, "o'hara@example.com": true, "jörg@bücher.example": true,
		"用户@例子.广告": true, "a@xn--bcher-kva.example": true, "a@example.test": true, "_@1and1.com": true,
		"@example.com": false, "a@": false, "a@b": false, "a b@example.com": false, "a@@example.com": false,
		"a@exam_ple.com": false, "a@-example.com": false, "a@example-.com": false, "a@example..com": false,
		".a@example.com": false, "a.@example.com": false, "a..b@example.com": false, "a@[127.0.0.1]": false,
		"a@127.0.0.1": false, `"a b"@example.com`: false, "A <a@example.com>": false, "a@example.com.": false,
		"a\x00@example.com": false, "a@exam\nple.com": false,
		strings.Repeat("a", 64) + "@example.com": true, strings.Repeat("a", 65) + "@example.com": false,
		"a@" + strings.Repeat("b", 64) + ".com": false, "a@" + strings.Repeat("b.", 130) + "com": false,
	} {
		raw, _ := json.Marshal(map[string]string{"email": email})
		if _, problems := identity.Parse(raw); (len(problems) == 0) != valid {
			t.Errorf("%q: %v", email, problems)
		}
	}
}

func TestEmptyAndFields(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][]string{
		`{}`:                                          {},
		`{"email":null}`:                              {},
		`{"x":{"label":"X","value":""}}`:              {"x"},
		`{"x":{"label":"X","value":[]}}`:              {"x"},
		`{"x":{"label":"X","value":0}}`:               {"x"},
		`{"external_id":"e","email":"a@example.com"}`: {"email", "external_id"},
	} {
		read := parse(t, raw)
		if diff := cmp.Diff(want, read.Fields()); diff != "" {
			t.Errorf("%s: %s", raw, diff)
		}
		if empty := len(read.Values()) == 0; read.Empty() != empty {
			t.Errorf("%s: empty %v", raw, read.Empty())
		}
	}
}

func TestOver(t *testing.T) {
	t.Parallel()
	base := parse(t, `{"email":"a@example.com","x":{"label":"X","value":1}}`)
	derived := parse(t, `{"phone_number":"+15558675309","email":"b@example.com","y":{"label":"Y","value":2}}`)
	want := parse(t, `{"phone_number":"+15558675309","email":"b@example.com","x":{"label":"X","value":1},"y":{"label":"Y","value":2}}`)
	if diff := cmp.Diff(want, derived.Over(base)); diff != "" {
		t.Error(diff)
	}
	if len(base.Custom) != 1 || *base.Email != "a@example.com" {
		t.Error("the base was changed")
	}
	if diff := cmp.Diff(base, identity.Identity{}.Over(base)); diff != "" {
		t.Error(diff)
	}
}

func TestWebhookShape(t *testing.T) {
	t.Parallel()
	const want = `{"phone_number":null,"email":"a@example.com","ga_client_id":null,"ljt_readerID":null,` +
		`"fides_user_device_id":null,"external_id":null,"x":{"label":"X","value":[1,"b"]}}`
	read := parse(t, `{"x":{"value":[1,"b"],"label":"X"},"email":"a@example.com"}`)
	got, err := json.Marshal(read)
	if err != nil || string(got) != want {
		t.Fatalf("got %s, %v", got, err)
	}
	var again identity.Identity
	if err := json.Unmarshal(got, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(read, again); diff != "" {
		t.Error(diff)
	}
	if err := json.Unmarshal([]byte(`{"email":"accepted under older rules"}`), &again); err != nil {
		t.Errorf("reading checks rules: %v", err)
	}
	if err := json.Unmarshal([]byte(`{"email":1}`), &again); err == nil || strings.Contains(err.Error(), "1") {
		t.Errorf("wrong shape: %v", err)
	}
}

func TestAnswerShape(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(parse(t, `{"email":"a@example.com","x":{"label":"X","value":7}}`).Labeled())
	const want = `{"email":{"label":"Email","value":"a@example.com"},"external_id":{"label":"External ID","value":null},` +
		`"fides_user_device_id":{"label":"Fides user device ID","value":null},"ga_client_id":{"label":"GA client ID","value":null},` +
		`"ljt_readerID":{"label":"LJT reader ID","value":null},"phone_number":{"label":"Phone number","value":null},` +
		`"x":{"label":"X","value":7}}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}

// What Parse accepts can be written and parsed again without a change.
func FuzzParse(f *testing.F) {
	f.Add(everything)
	f.Add(`{"email":"A@B.c"}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, raw string) {
		read, problems := identity.Parse(json.RawMessage(raw))
		if len(problems) > 0 {
			return
		}
		written, err := json.Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		again, problems := identity.Parse(written)
		if diff := cmp.Diff(read, again); diff != "" || len(problems) > 0 {
			t.Errorf("%s %v", diff, problems)
		}
	})
}
