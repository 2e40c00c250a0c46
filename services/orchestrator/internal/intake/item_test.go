package intake_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/services/orchestrator/internal/intake"
)

func now() time.Time { return time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC) }

func hashes(s string) []string { return []string{"<" + s + ">"} }

func read(t *testing.T, body string) (intake.Request, []string) {
	t.Helper()
	var item intake.Item
	if err := json.Unmarshal([]byte(body), &item); err != nil {
		t.Fatal(err)
	}
	r, problems := item.Read(now(), hashes, "body", 0)
	texts := []string{}
	for _, p := range problems {
		loc, err := json.Marshal(p.Loc)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(loc)+" "+p.Msg)
	}
	return r, texts
}

func TestWhatIsPersonalIsKeptApart(t *testing.T) {
	t.Parallel()
	r, problems := read(t, `{"policy_key":"p","identity":{"email":"a@Example.com","loyalty":{"label":"L","value":12}},
		"encryption_key":"0123456789abcdef","custom_privacy_request_fields":{"shop":{"label":"Shop","value":"north"}},
		"location":"us_ca","external_id":"e","consent_preferences":[{"x":1}],"unknown":1}`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	record, err := json.Marshal(r.Submission)
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.NewReplacer("\\u003cshop:north\\u003e", "", "\\u003cloyalty:12\\u003e", "").Replace(string(record))
	for _, secret := range []string{"north", "shop", "loyalty", "0123456789abcdef", `"x"`} {
		if strings.Contains(shown, secret) {
			t.Errorf("the submission shows %s: %s", secret, record)
		}
	}
	wantHashes := map[string][]string{"0": {"<email:a@example.com>"}, "1": {"<loyalty:12>"}}
	if diff := cmp.Diff(wantHashes, r.Submission.IdentityHashes); diff != "" {
		t.Errorf("hashes (-want +got):\n%s", diff)
	}
	if *r.Submission.Location != "US-CA" || !r.Submission.CustomFields || !r.Submission.RequestedAt.Equal(now()) {
		t.Errorf("submission: %+v", r.Submission)
	}
	if r.Person.EncryptionKey != "0123456789abcdef" || *r.Person.Identity.Email != "a@example.com" || r.Person.CustomFields["shop"].Value != "north" {
		t.Errorf("person: %+v", r.Person)
	}
}

func TestTheEchoHasEveryFieldAndNoKey(t *testing.T) {
	t.Parallel()
	r, problems := read(t, `{"policy_key":"p","identity":{},"encryption_key":"0123456789abcdef"}`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	data, err := json.Marshal(r.Echo)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"external_id":null,"started_processing_at":null,"finished_processing_at":null,"requested_at":null,` +
		`"identity":{"phone_number":null,"email":null,"ga_client_id":null,"ljt_readerID":null,"fides_user_device_id":null,` +
		`"external_id":null},"consent_request_id":null,"policy_key":"p","encryption_key":null,"property_id":null,` +
		`"consent_preferences":null,"custom_privacy_request_fields":null,"source":null,"location":null}`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProblemsAreToldAtTheirPlace(t *testing.T) {
	t.Parallel()
	_, problems := read(t, `{"policy_key":"p","identity":{"phone_number":"1"},"encryption_key":"short","location":"x",
		"custom_privacy_request_fields":{"f":{"label":1}},"external_id":"a\u0000b"}`)
	want := []string{
		`["body",0,"identity","phone_number"] Value error, Phone number must be formatted in E.164 format, i.e. '+15558675309'.`,
		`["body",0,"custom_privacy_request_fields","f"] Value error, a custom field must have the form {"label": "Field label", "value": "123"}`,
		`["body",0,"location"] Value error, Invalid location format 'x'. Must follow ISO 3166 format (e.g., 'US', 'US-CA', 'GB', 'CA-ON', 'EEA')`,
		`["body",0,"encryption_key"] Value error, Encryption key must be 16 bytes long`,
		`["body",0,"external_id"] Value error, NUL characters are not allowed`,
	}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatNoMessageAndNoDatabaseHoldsIsRefused(t *testing.T) {
	t.Parallel()
	var fields []string
	for i := range 1001 {
		fields = append(fields, fmt.Sprintf(`"f%d":{"label":"l","value":1}`, i))
	}
	for name, item := range map[string]string{
		"a year before the first":  `"requested_at":"0000-12-31T23:00:00Z"`,
		"a year after the last":    `"started_processing_at":"9999-12-31T00:00:00Z"`,
		"the last, further west":   `"finished_processing_at":"9998-12-31T23:00:00-02:00"`,
		"a long external_id":       `"external_id":"` + strings.Repeat("\u00e9", 513) + `"`,
		"a long property_id":       `"property_id":"` + strings.Repeat("p", 1025) + `"`,
		"too many fields":          `"custom_privacy_request_fields":{` + strings.Join(fields, ",") + `}`,
		"too much of what is said": `"consent_preferences":["` + strings.Repeat("c", 256<<10) + `"]`,
	} {
		if _, problems := read(t, `{"policy_key":"p","identity":{"email":"a@example.com"},`+item+`}`); len(problems) != 1 {
			t.Errorf("%s: %v", name, problems)
		}
	}
	for name, item := range map[string]string{
		"the first day":        `"requested_at":"0001-01-01T00:00:00Z","started_processing_at":"9998-12-31T23:59:59Z"`,
		"a bounded identifier": `"external_id":"` + strings.Repeat("\u00e9", 512) + `"`,
	} {
		if _, problems := read(t, `{"policy_key":"p","identity":{"email":"a@example.com"},`+item+`}`); len(problems) != 0 {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestLocations(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"US": "US", "us-ca": "US-CA", "gb_eng": "GB-ENG", " eea ": "EEA", "USA": "", "U": "", "US-": "", "US-CALI": "", "": "",
	} {
		got, ok := intake.NormalizeLocation(in)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q %v", in, got, ok)
		}
	}
}
