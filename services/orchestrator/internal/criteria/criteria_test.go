package criteria_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/services/orchestrator/internal/criteria"
)

func now() time.Time { return time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC) }

func hashes(s string) []string { return []string{s} }

func TestABodyBecomesAFilter(t *testing.T) {
	t.Parallel()
	var s criteria.Search
	body := `{"request_id":"x","status":"error","action_type":["access","erasure"],"identities":{"email":" A@EXAMPLE.com ","n":12,"l":[1]},
		"custom_privacy_request_fields":{"shop":"north"},"external_id":"e","location":"us_ca","created_gt":"2026-01-01T00:00:00Z",
		"is_overdue":true,"include_deleted_requests":true,"sort_field":"due_date","sort_direction":"asc"}`
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatal(err)
	}
	f, err := s.Filter(now(), hashes)
	if err != nil {
		t.Fatal(err)
	}
	if f.IDPart != "x" || f.ExternalID != "e" || f.Location != "US-CA" || !f.Deleted || f.OverdueAt == nil || f.Created.After == nil {
		t.Errorf("filter: %+v", f)
	}
	if diff := cmp.Diff([]string{"error"}, f.Statuses); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"access", "erasure"}, f.Actions); diff != "" {
		t.Error(diff)
	}
	found := strings.Join(f.IdentityHashes, " ")
	if len(f.IdentityHashes) != 2 || !strings.Contains(found, "email:A@example.com") || !strings.Contains(found, "n:12") {
		t.Errorf("identities: %v", f.IdentityHashes)
	}
	if diff := cmp.Diff([]string{"shop:north"}, f.FieldHashes); diff != "" {
		t.Error(diff)
	}
	if o := s.Order(); o.Field != "due_date" || !o.Ascending {
		t.Errorf("order: %+v", o)
	}
}

func TestNumbersAreFoundAsTheyAreStored(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"999999": "n:999999", "1000000": "n:1000000", "9007199254740993": "n:9007199254740993", "-9007199254740993": "n:-9007199254740993",
		"-0": "n:0", "1e6": "n:1000000", "12.0": "n:12", "1.50": "n:1.50", "true": "n:true", "9223372036854775808": "n:9223372036854775808",
	} {
		var s criteria.Search
		body := `{"identities":{"n":` + given + `},"custom_privacy_request_fields":{"n":` + given + `}}`
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err)
		}
		bulk, problems := criteria.ReadSelection(json.RawMessage(`{"filters":` + body + `}`))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for name, search := range map[string]criteria.Search{"search": s, "bulk": *bulk.Filters} {
			f, err := search.Filter(now(), hashes)
			if err != nil || !slices.Equal(f.IdentityHashes, []string{want}) || !slices.Equal(f.FieldHashes, []string{want}) {
				t.Errorf("%s by %s: identities %v, fields %v, %v", name, given, f.IdentityHashes, f.FieldHashes, err)
			}
		}
	}
	none := criteria.Search{}
	if err := json.Unmarshal([]byte(`{"identities":null}`), &none); err != nil || none.Identities != nil {
		t.Errorf("null: %v %v", none.Identities, err)
	}
}

func TestABadLocationSelectsNothing(t *testing.T) {
	t.Parallel()
	bad := "nowhere"
	f, err := criteria.Search{Location: &bad}.Filter(now(), hashes)
	if err != nil || f.IDs == nil || len(f.IDs) != 0 {
		t.Errorf("%+v %v", f, err)
	}
}

func TestContradictionsAreRefused(t *testing.T) {
	t.Parallel()
	early, late := now(), now().Add(time.Hour)
	for name, c := range map[string]struct {
		search criteria.Search
		want   string
	}{
		"both ends": {
			criteria.Search{CompletedAfter: &early, ErroredAfter: &early},
			"Cannot specify both succeeded and failed query params.",
		},
		"created": {
			criteria.Search{CreatedAfter: &late, CreatedBefore: &early},
			"Value specified for created_lt: 2026-05-01 08:00:00+00:00 must be after created_gt: 2026-05-01 09:00:00+00:00.",
		},
		"started": {
			criteria.Search{StartedAfter: &early, StartedBefore: &early},
			"Value specified for started_lt: 2026-05-01 08:00:00+00:00 must be after started_gt: 2026-05-01 08:00:00+00:00.",
		},
	} {
		if _, err := c.search.Filter(now(), hashes); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSelections(t *testing.T) {
	t.Parallel()
	const none = "Value error, At least one of 'request_ids' or 'filters' must be provided. 'request_ids' cannot be empty."
	for body, want := range map[string]string{
		`["a","b"]`:                          "",
		`{"request_ids":["a"]}`:              "",
		`{"filters":{}}`:                     "",
		`{"filters":{},"exclude_ids":["a"]}`: "",
		`[]`:                                 none,
		`{}`:                                 none,
		`{"request_ids":[]}`:                 none,
		`{"request_ids":["a"],"filters":{}}`: "Value error, 'request_ids' and 'filters' are mutually exclusive. Please provide only one.",
		`{"request_ids":["a"],"exclude_ids":["b"]}`: "Value error, 'exclude_ids' can only be used with 'filters', not with 'request_ids'",
	} {
		_, problems := criteria.ReadSelection(json.RawMessage(body))
		got := ""
		if len(problems) > 0 {
			got = problems[0].Msg
		}
		if got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func TestReasonsAreEscaped(t *testing.T) {
	t.Parallel()
	s, problems := criteria.ReadSelection(json.RawMessage(`{"request_ids":["a"],"reason":"it's <b> & \"q\""}`))
	if len(problems) > 0 || *s.Reason != "it&#x27;s &lt;b&gt; &amp; &quot;q&quot;" {
		t.Errorf("%v %v", s.Reason, problems)
	}
	long, err := json.Marshal(map[string]any{"request_ids": []string{"a"}, "reason": strings.Repeat("<", 8001)})
	if err != nil {
		t.Fatal(err)
	}
	if _, problems := criteria.ReadSelection(long); len(problems) != 1 || problems[0].Msg != "String should have at most 32000 characters" {
		t.Errorf("too long: %v", problems)
	}
}
