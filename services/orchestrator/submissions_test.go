package orchestrator_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/services/orchestrator"
)

// problemsOf are the entries of a 422: "place: text".
func problemsOf(t *testing.T, body []byte) []string {
	t.Helper()
	var answer struct {
		Detail []struct {
			Loc []any
			Msg string
		}
	}
	must(t, json.Unmarshal(body, &answer))
	var out []string
	for _, p := range answer.Detail {
		place := make([]string, len(p.Loc))
		for i, l := range p.Loc {
			place[i] = fmt.Sprint(l)
		}
		out = append(out, strings.Join(place, ".")+": "+p.Msg)
	}
	return out
}

// TestWhatMayBeSubmitted is the table of contract §6.2 and §6.3: what is taken,
// as it is shown then, and what is refused, with its place and its text.
func TestWhatMayBeSubmitted(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	s.manual(true)
	const (
		phone  = "Value error, Phone number must be formatted in E.164 format, i.e. '+15558675309'."
		custom = `Value error, Custom identity "c" must be an instance of LabeledIdentity (e.g. {"label": "Field label", "value": "123"})`
		field  = `Value error, a custom field must have the form {"label": "Field label", "value": "123"}`
		iso    = "Must follow ISO 3166 format (e.g., 'US', 'US-CA', 'GB', 'CA-ON', 'EEA')"
	)
	email := object{"email": "a@example.com"}
	with := func(name string, value any) object {
		return object{"policy_key": "access", "identity": email, name: value}
	}
	who := func(name string, value any) object {
		return object{"policy_key": "access", "identity": object{name: value}}
	}
	for name, c := range map[string]struct {
		item object
		want string // what is wrong, "" for what is taken
		show string // a key of the answer, and its value
	}{
		"e-mail":                    {item: who("email", "a.b+c@sub.example.com")},
		"e-mail without a domain":   {item: who("email", "a@"), want: "body.0.identity.email: value is not a valid email address"},
		"e-mail that is no text":    {item: who("email", 1), want: "body.0.identity.email: Input should be a valid string"},
		"phone":                     {item: who("phone_number", "+15558675309")},
		"phone of 15 digits":        {item: who("phone_number", "+123456789012345")},
		"phone of 16 digits":        {item: who("phone_number", "+1234567890123456"), want: "body.0.identity.phone_number: " + phone},
		"phone of 7 digits":         {item: who("phone_number", "+1234567"), want: "body.0.identity.phone_number: " + phone},
		"phone without a plus":      {item: who("phone_number", "15558675309"), want: "body.0.identity.phone_number: " + phone},
		"phone that begins with 0":  {item: who("phone_number", "+0558675309"), want: "body.0.identity.phone_number: " + phone},
		"device id":                 {item: who("fides_user_device_id", "6cf2ab8c-7c6a-4d0e-9a7b-3b9d3b9e6d0f")},
		"device id that is none":    {item: who("fides_user_device_id", "x"), want: "body.0.identity.fides_user_device_id: "},
		"cookie ids":                {item: object{"policy_key": "access", "identity": object{"ga_client_id": "g", "ljt_readerID": "l", "external_id": "e"}}},
		"custom text":               {item: who("c", object{"label": "C", "value": "v"})},
		"custom number":             {item: who("c", object{"label": "C", "value": 12})},
		"custom list":               {item: who("c", object{"label": "C", "value": []any{"a", 1}})},
		"custom without a label":    {item: who("c", object{"value": "v"}), want: "body.0.identity: " + custom},
		"custom that is plain":      {item: who("c", "v"), want: "body.0.identity: " + custom},
		"custom object":             {item: who("c", object{"label": "C", "value": object{}}), want: "body.0.identity: " + custom},
		"no identity":               {item: object{"policy_key": "access"}, want: "body.0.identity: Field required"},
		"identity that is a list":   {item: object{"policy_key": "access", "identity": []any{}}, want: "body.0.identity: Input should be a valid dictionary"},
		"no policy":                 {item: object{"identity": email}, want: "body.0.policy_key: Field required"},
		"bad policy key":            {item: object{"policy_key": "a b", "identity": email}, want: "body.0.policy_key: Value error, FidesKeys must only contain"},
		"custom field":              {item: with("custom_privacy_request_fields", object{"f": object{"label": "F", "value": []any{"a"}}})},
		"custom field that is none": {item: with("custom_privacy_request_fields", object{"f": object{"label": 1}}), want: "body.0.custom_privacy_request_fields.f: " + field},
		"16 bytes of key":           {item: with("encryption_key", "0123456789abcdef")},
		"15 bytes of key":           {item: with("encryption_key", "0123456789abcde"), want: "body.0.encryption_key: Value error, Encryption key must be 16 bytes long"},
		"16 characters of key":      {item: with("encryption_key", "ä123456789abcdef"), want: "body.0.encryption_key: Value error, Encryption key must be 16 bytes long"},
		"country":                   {item: with("location", "gb"), show: "location=GB"},
		"subdivision":               {item: with("location", "us_ca"), show: "location=US-CA"},
		"area":                      {item: with("location", "EEA"), show: "location=EEA"},
		"place":                     {item: with("location", "Paris"), want: "body.0.location: Value error, Invalid location format 'Paris'. " + iso},
		"source":                    {item: with("source", "Fides.js"), show: "source=Fides.js"},
		"another source":            {item: with("source", "x"), want: "body.0.source: Input should be 'Privacy Center', 'Request Manager'"},
		"due date":                  {item: with("requested_at", time.Now().UTC().AddDate(0, 0, -5).Format(time.RFC3339)), show: "days_left=40"},
		"overdue":                   {item: with("requested_at", time.Now().UTC().AddDate(0, 0, -50).Format(time.RFC3339)), show: "days_left=-5"},
		"no date":                   {item: with("requested_at", "x"), want: "body.0.requested_at: Input should be a valid datetime"},
		"started":                   {item: with("started_processing_at", "2020-01-02T03:04:05Z"), show: "started_processing_at=2020-01-02T03:04:05Z"},
		"external id":               {item: with("external_id", "x-1"), show: "external_id=x-1"},
		"property":                  {item: with("property_id", "p-1"), show: "property_id=p-1"},
		"unknown fields":            {item: with("id", "pri_mine"), show: "status=pending"},
	} {
		code, body := s.call("POST", root6, []object{c.item})
		if c.want != "" {
			if code != http.StatusUnprocessableEntity {
				t.Errorf("%s: %d %s", name, code, body)
			} else if got := problemsOf(t, body); len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
			continue
		}
		var created bulk
		if must(t, json.Unmarshal(body, &created)); code != 200 || len(created.Succeeded) != 1 {
			t.Errorf("%s: %d %s", name, code, body)
			continue
		}
		key, value, _ := strings.Cut(c.show, "=")
		if got := fmt.Sprint(created.Succeeded[0][key]); c.show != "" && got != value {
			t.Errorf("%s: %s is %s, want %s", name, key, got, value)
		}
		if id, _ := created.Succeeded[0]["id"].(string); !strings.HasPrefix(id, "pri_") || id == "pri_mine" {
			t.Errorf("%s: id %s", name, id)
		}
	}
	for name, c := range map[string]struct {
		body any
		want []string
	}{
		"nothing":     {[]object{}, []string{"body: List should have at least 1 item after validation, not 0"}},
		"an object":   {email, []string{"body: Input should be a valid list"}},
		"all at once": {[]object{who("email", "x"), with("location", "x"), who("email", "a@example.com"), with("encryption_key", "x")}, []string{"body.0.", "body.1.", "body.3."}},
	} {
		code, body := s.call("POST", root6, c.body)
		got := problemsOf(t, body)
		if code != 422 || len(got) != len(c.want) {
			t.Errorf("%s: %d %q", name, code, got)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], c.want[i]) {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		}
	}
	if ids := s.submitMany(50); len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 50 {
		t.Errorf("fifty: %v", ids)
	}
}

// One address may submit so much in a minute without credentials, this machine
// too; API clients are not counted.
func TestSubmissionsAreLimited(t *testing.T) {
	t.Parallel()
	s := setup(t, func(o *orchestrator.Settings) { o.SubmissionsPerMinute = 50 })
	s.ready()
	s.policy(nil, nil)
	s.submitMany(50)
	items := make([]object, 50)
	for i := range items {
		items[i] = object{"policy_key": "access", "identity": object{"email": "a@example.com"}}
	}
	data, err := json.Marshal(items)
	must(t, err)
	answer, err := s.client.Post(s.url+root6, "application/json", strings.NewReader(string(data)))
	must(t, err)
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") == "" {
		t.Errorf("a hundred in a minute: %d, Retry-After %q", answer.StatusCode, answer.Header.Get("Retry-After"))
	}
	var created bulk
	s.expect(200, "POST", root6+"/authenticated", items, &created)
	if len(created.Succeeded) != 50 {
		t.Errorf("an API client: %v", created.Failed)
	}
}

// TestBigNumbersAreFound: a number is looked for as it was stored, in a search
// and in the filters of a bulk action.
func TestBigNumbersAreFound(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	s.manual(true)
	for _, n := range []int{999999, 1000000, 9007199254740993} {
		var created bulk
		s.expect(200, "POST", root6, []object{{
			"policy_key":                    "access",
			"identity":                      object{"customer_no": object{"label": "No", "value": n}},
			"custom_privacy_request_fields": object{"order_no": object{"label": "Order", "value": n}},
		}}, &created)
		if len(created.Succeeded) != 1 {
			t.Fatalf("%d: %+v", n, created)
		}
		id := created.Succeeded[0]["id"].(string)
		identity := object{"identities": object{"customer_no": n}}
		field := object{"custom_privacy_request_fields": object{"order_no": n}}
		for _, filter := range []object{identity, field} {
			var found struct{ Items []object }
			s.expect(200, "POST", root6+"/search", filter, &found)
			if len(found.Items) != 1 || found.Items[0]["id"] != id {
				t.Errorf("search by %v: %v", filter, found.Items)
			}
		}
		var done bulk
		s.expect(200, "PATCH", "/api/v1/privacy-request/administrate/cancel", object{"filters": identity}, &done)
		if len(done.Succeeded) != 1 || done.Succeeded[0]["id"] != id {
			t.Errorf("bulk by %v: %+v", identity, done)
		}
	}
}

// TestReading is what the lists can do beside the filters, which are tested in
// TestRequestsAreFound.
func TestReading(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	s.manual(true)
	ids := []string{}
	for i, place := range []string{"DE", "FR", "IT"} {
		var created bulk
		s.expect(200, "POST", root6, []object{{
			"policy_key": "access", "location": place, "external_id": "e" + place,
			"identity":                      object{"email": "a@example.com", "loyalty": object{"label": "Loyalty", "value": i}},
			"custom_privacy_request_fields": object{"shop": object{"label": "Shop", "value": place}},
		}}, &created)
		ids = append(ids, created.Succeeded[0]["id"].(string))
	}
	type page struct {
		Items              []object
		Total, Size, Pages int
		Page               int
	}
	search := func(query string, body object) (p page, order []string) {
		t.Helper()
		s.expect(200, "POST", root6+"/search"+query, body, &p)
		for _, i := range p.Items {
			order = append(order, i["id"].(string))
		}
		return p, order
	}
	reversed := slices.Clone(ids)
	slices.Reverse(reversed)
	if p, order := search("?size=2&page=2", object{}); !slices.Equal(order, ids[:1]) || p.Total != 3 || p.Pages != 2 || p.Page != 2 || p.Size != 2 {
		t.Errorf("second page: %v %+v", order, p)
	}
	if p, _ := search("?size=2&page=9", object{}); len(p.Items) != 0 || p.Total != 3 || p.Page != 9 {
		t.Errorf("past the end: %+v", p)
	}
	const last = "9223372036854775807"
	if p, _ := search("?page="+last, object{}); len(p.Items) != 0 || p.Total != 3 || p.Page != math.MaxInt {
		t.Errorf("the last page of all: %+v", p)
	}
	for _, path := range []string{
		root6 + "?page=" + last, "/api/v1/privacy-request/" + ids[0] + "/log?page=85899346", "/api/v1/privacy-request/" + ids[0] + "/log?page=67108865&size=64",
		"/api/v1/privacy-request/" + ids[0] + "/log?page=" + last,
	} {
		var p page
		if s.expect(200, "GET", path, nil, &p); len(p.Items) != 0 {
			t.Errorf("%s: %+v", path, p)
		}
	}
	for field, want := range map[string][]string{
		"created_at": ids, "external_id": ids, "location": ids, "updated_at": ids, "due_date": ids, "days_left": ids,
		"id": slices.Sorted(slices.Values(ids)), "status": nil, "source": nil, "started_processing_at": nil, "finished_processing_at": nil,
		"reviewed_at": nil, "paused_at": nil, "canceled_at": nil, "deleted_at": nil,
	} {
		if _, order := search("", object{"sort_field": field, "sort_direction": "asc"}); len(order) != 3 || want != nil && !slices.Equal(order, want) {
			t.Errorf("by %s: %v", field, order)
		}
	}
	if _, order := search("", nil); !slices.Equal(order, reversed) {
		t.Errorf("without a body: %v", order)
	}
	for _, status := range []string{
		"identity_unverified", "requires_input", "awaiting_email_send", "requires_manual_finalization", "pending_external", "duplicate",
	} {
		if p, _ := search("", object{"status": status}); p.Total != 0 {
			t.Errorf("%s: %d", status, p.Total)
		}
	}
	plain, _ := search("", object{"request_id": ids[0]})
	for _, key := range []string{"results", "task_status_by_dataset"} {
		if _, there := plain.Items[0][key]; there {
			t.Errorf("%s is shown, but not asked for", key)
		}
	}
	if one := plain.Items[0]; len(one) != 29 || one["identity"] != nil || one["custom_privacy_request_fields"] != nil {
		t.Errorf("shown: %v", one)
	}
	whole, _ := search("", object{
		"request_id": ids[0], "verbose": true, "include_identities": true, "include_custom_privacy_request_fields": true,
	})
	one := whole.Items[0]
	shown, _ := one["identity"].(object)
	if shown["email"].(object)["value"] != "a@example.com" || shown["phone_number"].(object)["label"] != "Phone number" ||
		shown["phone_number"].(object)["value"] != nil || shown["loyalty"].(object)["value"] != 0.0 {
		t.Errorf("identity: %v", shown)
	}
	if fields, _ := one["custom_privacy_request_fields"].(object); fields["shop"].(object)["value"] != "DE" {
		t.Errorf("custom fields: %v", fields)
	}
	if one["results"] == nil || one["task_status_by_dataset"] == nil {
		t.Errorf("verbose: %v", one)
	}
	for query, want := range map[string]string{
		"?page=0": "greater than or equal to 1", "?size=101": "less than or equal to 100", "?status=x": "Input should be 'identity_unverified'",
	} {
		if code, body := s.call("GET", root6+query, nil); code != 422 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %s", query, code, body)
		}
	}
	for _, body := range []object{{"unknown": 1}, {"status": "x"}, {"sort_direction": "up"}} {
		if code, answer := s.call("POST", root6+"/search", body); code != 422 {
			t.Errorf("%v: %d %s", body, code, answer)
		}
	}
}

// TestBulkByFilters: what is selected is what a search with these filters finds,
// less what is left out; a filter that nobody knows selects nothing.
func TestBulkByFilters(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	s.manual(true)
	ids := s.submitMany(50)
	more := s.submitMany(30)
	for name, body := range map[string]object{
		"unknown filter":  {"filters": object{"statuses": []string{"pending"}}},
		"unknown status":  {"filters": object{"status": "x"}},
		"neither":         {"exclude_ids": ids},
		"both":            {"request_ids": ids, "filters": object{}},
		"filters a list":  {"filters": []any{}},
		"ids not in list": {"request_ids": "pri_1"},
	} {
		if code, answer := s.call("PATCH", root6+"/administrate/cancel", body); code != 422 {
			t.Fatalf("%s: %d %s", name, code, answer)
		}
	}
	var done bulk
	s.expect(200, "PATCH", root6+"/administrate/cancel", object{
		"filters": object{"status": []string{"pending"}, "request_id": ids[0]}, "exclude_ids": ids[:1],
	}, &done)
	if len(done.Succeeded)+len(done.Failed) != 0 {
		t.Errorf("nothing is selected: %+v", done)
	}
	s.expect(200, "PATCH", root6+"/administrate/cancel", object{"filters": object{"status": "pending"}, "exclude_ids": more, "reason": "no"}, &done)
	if len(done.Succeeded) != 50 || len(done.Failed) != 0 {
		t.Errorf("canceled %d, failed %v", len(done.Succeeded), done.Failed)
	}
	s.awaitTotal("canceled", 50)
	s.awaitTotal("pending", 30)
	// ids more than once are one
	s.expect(200, "PATCH", root6+"/administrate/deny", append(slices.Clone(more), more...), &done)
	if len(done.Succeeded) != 30 || len(done.Failed) != 0 {
		t.Errorf("denied %d, failed %v", len(done.Succeeded), done.Failed)
	}
	var hidden struct{ Succeeded []string }
	s.expect(200, "POST", root6+"/bulk/soft-delete", object{"filters": object{"status": "denied"}}, &hidden)
	if !slices.Equal(slices.Sorted(slices.Values(hidden.Succeeded)), slices.Sorted(slices.Values(more))) {
		t.Errorf("hidden %v", hidden.Succeeded)
	}
	s.expect(200, "POST", root6+"/bulk/soft-delete", object{"filters": object{"status": "denied"}}, &hidden)
	if len(hidden.Succeeded) != 0 {
		t.Errorf("deleted ones are selected again: %v", hidden.Succeeded)
	}
}

// An API client that was given a scope may use it, and is named in the audit.
func TestAnAPIClientReviews(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	s.manual(true)
	id := s.submit()
	_, err := s.catalog.Put(t.Context(), catalog.ClientKey("reviewer"), catalog.Client{
		Entry: catalog.Entry{Version: 1}, ID: "reviewer", Scopes: []string{"privacy-request:review"},
	})
	must(t, err)
	everything := s.token
	s.token, err = token.IssueAccess(s.ring, token.Access{
		ClientID: "reviewer", Scopes: []string{"privacy-request:review"}, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	})
	must(t, err)
	var done bulk
	s.expect(200, "PATCH", root6+"/administrate/cancel", object{"request_ids": []string{id}}, &done)
	if code, _ := s.call("POST", root6+"/search", object{}); code != http.StatusForbidden {
		t.Errorf("search without its scope: %d", code)
	}
	s.token = everything
	entry := s.get(id)["results"].(object)["Request canceled"].([]any)[0].(object)
	if entry["user_id"] != "reviewer" {
		t.Errorf("audit: %v", entry)
	}
}

// TestARequestIsShownWhateverItsTimesAre: one that runs and that nobody sees is
// what a person who means harm would like to submit.
func TestARequestIsShownWhateverItsTimesAre(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	s.manual(true)
	for _, at := range []string{"2026-01-01T00:00:00+16:00", "2026-01-01T00:00:00-23:59", "0000-12-31T23:30:00-01:00"} {
		var created bulk
		s.expect(200, "POST", root6, []object{{
			"policy_key": "access", "identity": object{"email": "a@example.com"},
			"requested_at": at, "started_processing_at": at, "finished_processing_at": at,
		}}, &created)
		if len(created.Succeeded) != 1 {
			t.Fatalf("%s: %+v", at, created.Failed)
		}
		if shown := s.get(created.Succeeded[0]["id"].(string)); shown["status"] != "pending" {
			t.Errorf("%s: %v", at, shown["status"])
		}
	}
}
