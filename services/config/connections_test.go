package config_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/catalog"
)

// names lists a member of every item of a page.
func names(a answer, member string) []any {
	list := []any{}
	items, _ := a.field("items").([]any)
	for _, one := range items {
		members, _ := one.(map[string]any)
		list = append(list, members[member])
	}
	return list
}

func TestConnectionObject(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.call("PATCH", "/connection", `[{"name":"My hook","key":"c1","connection_type":"https","access":"read","ignored":1}]`).want(t, http.StatusOK)
	want := `^\{"succeeded":\[\{"connection_type":"https","secrets":null,"saas_config":null,"name":"My hook","key":"c1",` +
		`"description":null,"access":"read","created_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z","updated_at":"[^"]+","disabled":false,` +
		`"last_test_timestamp":null,"last_test_succeeded":null,"authorized":false,"enabled_actions":null,"linked_systems":\[\]\}\],"failed":\[\]\}\n$`
	if !regexp.MustCompile(want).MatchString(made.body) {
		t.Error(made.body)
	}
	one := b.call("GET", "/connection/c1", nil).want(t, http.StatusOK)
	if !strings.HasSuffix(one.body, `"linked_systems":[],"system_key":"My hook"}`+"\n") || one.header.Get("ETag") == "" {
		t.Error(one.body, one.header)
	}
	b.call("GET", "/connection/nope", nil).wantDetail(t, http.StatusNotFound, "No connection configuration found with key 'nope'.")
	b.call("GET", "/connection/no%20key", nil).wantProblem(t, "value_error", `["path","connection_key"]`,
		"Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. Value provided: no key")
}

func TestConnectionUpsert(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.call("PATCH", "/connection", `[
		{"name":"One","connection_type":"https","access":"read","description":"d","disabled":true},
		{"name":"One","connection_type":"https","access":"write"},
		{"connection_type":"https","access":"read"},
		{"key":"nameless","connection_type":"postgres","access":"write","secrets":{"host":"db","port":5432}}]`)
	list := b.call("GET", "/connection", nil).want(t, http.StatusOK)
	if diff := cmp.Diff([]any{"one", "nameless"}, names(list, "key")); diff != "" {
		t.Fatal(diff)
	}

	again := b.call("PATCH", "/connection", `[{"name":"One","connection_type":"https","access":"write","secrets":{"url":"https://example.com"},"description":"x"},
		{"connection_type":"https","access":"read"}]`).want(t, http.StatusOK)
	if diff := cmp.Diff([]any{
		map[string]any{
			"message": "Key one already exists in ConnectionConfig. Keys will be snake-cased names if not provided. If you are seeing this error without providing a key, please provide a key or a different name.",
			"data":    map[string]any{"name": "One", "key": nil, "connection_type": "https", "access": "write", "disabled": false, "description": "x"},
		},
		map[string]any{
			"message": "ConnectionConfig requires a name.",
			"data":    map[string]any{"name": nil, "key": nil, "connection_type": "https", "access": "read", "disabled": false, "description": nil},
		},
	}, again.field("failed")); diff != "" {
		t.Error(diff)
	}

	// What is absent, null or empty keeps its value.
	b.call("PATCH", "/connection", `[{"key":"one","connection_type":"https","access":"write","description":"","name":null}]`).want(t, http.StatusOK)
	one := b.call("GET", "/connection/one", nil)
	if one.field("description") != "d" || one.field("disabled") != true || one.field("access") != "write" || one.field("name") != "One" {
		t.Error(one)
	}
	b.call("PATCH", "/connection", `[{"key":"one","connection_type":"https","access":"write","disabled":false}]`).want(t, http.StatusOK)
	if one = b.call("GET", "/connection/one", nil); one.field("disabled") != false {
		t.Error(one)
	}

	// Secrets of other types are opaque, and none of them is shown.
	if diff := cmp.Diff(map[string]any{"host": "**********", "port": "**********"}, b.call("GET", "/connection/nameless", nil).field("secrets")); diff != "" {
		t.Error(diff)
	}
}

func TestConnectionUpsertRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct{ body, kind, loc, msg string }{
		{`{`, "json_invalid", `["body",1]`, "JSON decode error"},
		{`{}`, "list_type", `["body"]`, "Input should be a valid list"},
		{`[{"connection_type":"https"}]`, "missing", `["body",0,"access"]`, "Field required"},
		{`[{"connection_type":"https","access":"both"}]`, "enum", `["body",0,"access"]`, "Input should be 'read' or 'write'"},
		{
			`[{"key":"a b","connection_type":"https","access":"read"}]`, "value_error", `["body",0,"key"]`,
			"Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. Value provided: a b",
		},
		{
			`[{"key":"a","connection_type":"https","access":"read","secrets":{"url":"https://10.0.0.1/"}}]`, "value_error", `["body",0,"secrets","url"]`,
			"Value error, the address is not public, and calls to its network are not allowed",
		},
	} {
		b.call("PATCH", "/connection", c.body).wantProblem(t, c.kind, c.loc, c.msg)
	}
	many := "[" + strings.TrimSuffix(strings.Repeat(`{"name":"n","connection_type":"https","access":"read"},`, 51), ",") + "]"
	b.call("PATCH", "/connection", many).wantProblem(t, "too_long", `["body"]`, "List should have at most 50 items after validation, not 51")
	b.call("PATCH", "/connection", `[{"name":"***","connection_type":"https","access":"read"}]`).want(t, http.StatusUnprocessableEntity)
	if total := b.call("GET", "/connection", nil).field("total"); total != 0.0 {
		t.Errorf("%v connections are stored", total)
	}
}

func TestConnectionList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.call("PATCH", "/connection", `[
		{"name":"Beta","key":"b","connection_type":"https","access":"read","description":"Calls the warehouse"},
		{"name":"alpha","key":"a","connection_type":"postgres","access":"read","disabled":true},
		{"name":"Gamma","key":"g","connection_type":"saas","access":"read"},
		{"name":"Delta_50%","key":"d","connection_type":"manual_webhook","access":"read"}]`).want(t, http.StatusOK)
	for query, want := range map[string][]any{
		"":                       {"a", "b", "d", "g"},
		"?search=WARE":           {"b"},
		"?search=_50%25":         {"d"},
		"?search=gamma":          {"g"},
		"?disabled=true":         {"a"},
		"?disabled=false":        {"b", "d", "g"},
		"?connection_type=HTTPS": {"b"},
		"?connection_type=https&connection_type=saas": {"b", "g"},
		"?test_status=untested":                       {"a", "b", "d", "g"},
		"?test_status=passed":                         {},
		"?system_type=database":                       {"a", "b"},
		"?system_type=saas":                           {"g"},
		"?system_type=manual":                         {"d"},
		"?system_type=saas&connection_type=https":     {},
		"?orphaned_from_system=true":                  {"a", "b", "d", "g"},
		"?orphaned_from_system=false":                 {},
		"?size=1&page=2":                              {"b"},
		"?page=9":                                     {},
	} {
		got := b.call("GET", "/connection"+query, nil).want(t, http.StatusOK)
		if diff := cmp.Diff(want, names(got, "key")); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	b.call("GET", "/connection?size=3&page=7", nil).wantJSON(t, http.StatusOK, `{"items":[],"total":4,"page":7,"size":3,"pages":2}`)
	b.call("GET", "/connection?page=0", nil).wantProblem(t, "greater_than_equal", `["query","page"]`, "Input should be greater than or equal to 1")
	b.call("GET", "/connection?size=101", nil).wantProblem(t, "less_than_equal", `["query","size"]`, "Input should be less than or equal to 100")
	b.call("GET", "/connection?page=x", nil).wantProblem(t, "int_parsing", `["query","page"]`, "Input should be a valid integer, unable to parse string as an integer")
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.call("PATCH", "/connection", `[{"name":"C","key":"c","connection_type":"https","access":"read"},{"key":"p","connection_type":"postgres","access":"read"}]`).want(t, http.StatusOK)
	const path = "/connection/c/secret"
	saved := `{"msg":"Secrets updated for ConnectionConfig with key: c.","test_status":"skipped","failure_reason":null}`

	b.call("PUT", path, `{"url":"example.com","authorization":"a","headers":{"X-One":"1"},"unknown":"dropped"}`).wantJSON(t, http.StatusOK, saved)
	show := func() any { return b.call("GET", "/connection/c", nil).field("secrets") }
	if diff := cmp.Diff(map[string]any{"url": "example.com", "authorization": "**********", "headers": map[string]any{"X-One": "**********"}}, show()); diff != "" {
		t.Error(diff)
	}
	b.call("PATCH", path, `{"url":"https://other.example.com"}`).wantJSON(t, http.StatusOK, saved)
	if diff := cmp.Diff(map[string]any{"url": "https://other.example.com", "authorization": "**********", "headers": map[string]any{"X-One": "**********"}}, show()); diff != "" {
		t.Error(diff)
	}
	b.call("PUT", path+"?verify=false", `{"url":"https://example.com","authorization":"a","signing_secret":"whsec_c2VjcmV0"}`).
		wantJSON(t, http.StatusOK, strings.Replace(saved, `"skipped"`, "null", 1))
	if diff := cmp.Diff(map[string]any{"url": "https://example.com", "authorization": "**********", "headers": nil, "signing_secret": "**********"}, show()); diff != "" {
		t.Error(diff)
	}
	b.call("PUT", "/connection/p/secret", `{"anything":{"goes":true}}`).want(t, http.StatusOK)

	const incomplete = "Value error, HttpsSchema must be supplied all of: ['url', 'authorization']."
	const notPublic = "Value error, the address is not public, and calls to its network are not allowed"
	for _, c := range []struct{ body, kind, loc, msg string }{
		{`{"url":"https://example.com"}`, "value_error", `["body"]`, incomplete},
		{`{"url":"","authorization":"a"}`, "value_error", `["body"]`, incomplete},
		{`{}`, "value_error", `["body"]`, incomplete},
		{`{"url":1,"authorization":"a"}`, "string_type", `["body","url"]`, "Input should be a valid string"},
		{`{"url":"https://example.com","authorization":"a","headers":"x"}`, "dict_type", `["body","headers"]`, "Input should be a valid dictionary"},
		{`{"url":"https://example.com","authorization":"a","headers":{"X":1}}`, "string_type", `["body","headers","X"]`, "Input should be a valid string"},
		{`{"url":"https://example.com","authorization":"a\nb"}`, "value_error", `["body","authorization"]`, "Value error, the text cannot stand in a header"},
		{`{"url":"https://example.com","authorization":"a","headers":{"a b":"1"}}`, "value_error", `["body","headers","a b"]`, "Value error, not the name of a header"},
		{`{"url":"https://169.254.169.254/","authorization":"a"}`, "value_error", `["body","url"]`, notPublic},
		{`{"url":"http://example.com/","authorization":"a"}`, "value_error", `["body","url"]`, "Value error, the URL must begin with https://"},
		{`{"url":"https://example.com","authorization":"a","signing_secret":"plain"}`, "value_error", `["body","signing_secret"]`, "Value error, a signing secret is 'whsec_' and base64"},
		{
			`{"url":"https://example.com","authorization":"a","client_certificate":"x"}`, "value_error", `["body","client_certificate"]`,
			"Value error, client_certificate and client_key must be a certificate and its key, both in PEM",
		},
	} {
		refused := b.call("PUT", path, c.body).wantProblem(t, c.kind, c.loc, c.msg)
		if strings.Contains(refused.body, "example.com") {
			t.Errorf("the answer repeats what was given: %s", refused.body)
		}
	}
	if got := show().(map[string]any)["url"]; got != "https://example.com" {
		t.Errorf("a refused change was stored: %v", got)
	}
	b.call("PUT", "/connection/nope/secret", `{}`).wantDetail(t, http.StatusNotFound, "No connection config found with key nope")
	b.call("PATCH", "/connection/nope/secret", `{}`).wantDetail(t, http.StatusNotFound, "No connection config found with key nope")

	b.call("GET", "/connection/c/test", nil).wantJSON(t, http.StatusOK, `{"msg":"Test completed for ConnectionConfig with key: c.","test_status":"skipped","failure_reason":null}`)
	b.call("GET", "/connection/nope/test", nil).wantDetail(t, http.StatusNotFound, "No connection configuration found with key 'nope'.")
}

// TestNewTypeDropsSecrets: secrets are never shown by the rules of a type that
// they were not given for.
func TestNewTypeDropsSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	upsert := func(members string) answer {
		return b.call("PATCH", "/connection", `[{"key":"pg","access":"read",`+members+`}]`).want(t, http.StatusOK)
	}
	masked := map[string]any{"url": "**********"}
	stored := func() any { return b.call("GET", "/connection/pg", nil).field("secrets") }
	upsert(`"connection_type":"postgres","secrets":{"url":"postgres://u:t0psecret@h/db"}`)
	upsert(`"connection_type":"postgres"`)
	if diff := cmp.Diff(any(masked), stored()); diff != "" {
		t.Error("the same type keeps them", diff)
	}
	if got := upsert(`"connection_type":"https","secrets":{}`); strings.Contains(got.body, "t0psecret") {
		t.Error(got)
	}
	if got := stored(); got != nil {
		t.Error(got)
	}
	upsert(`"connection_type":"mysql","secrets":{"url":"mysql://u:t0psecret@h/db"}`)
	if diff := cmp.Diff(any(masked), stored()); diff != "" {
		t.Error("a new type with secrets has those", diff)
	}
}

func TestOAuthSettings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.call("PATCH", "/connection", `[{"name":"C","key":"c","connection_type":"https","access":"read"},{"key":"p","connection_type":"postgres","access":"read"}]`).want(t, http.StatusOK)
	const path = "/connection/c/oauth"
	const full = `{"grant_type":"client_credentials","token_url":"https://oauth.example.com/token","scope":"read write","client_id":"id","client_secret":"topsecret"}`
	saved := `{"msg":"OAuth2 configuration updated for ConnectionConfig with key: c.","test_status":"skipped","failure_reason":null}`

	b.call("DELETE", path, nil).wantDetail(t, http.StatusNotFound, "No OAuth2 configuration found to delete.")
	b.call("PATCH", path, `{"client_secret":"x"}`).wantDetail(t, http.StatusUnprocessableEntity, "Invalid OAuth2 configuration.")
	b.call("PUT", path, full).wantJSON(t, http.StatusOK, saved)
	b.call("PUT", path+"?verify=false", full).wantJSON(t, http.StatusOK, strings.Replace(saved, `"skipped"`, "null", 1))
	b.call("PATCH", path, `{"client_secret":"another","scope":null}`).wantJSON(t, http.StatusOK, saved)
	if shown := b.call("GET", "/connection/c", nil); strings.Contains(shown.body, "oauth") {
		t.Error("OAuth settings are shown", shown)
	}
	// With OAuth settings the address alone is enough.
	b.call("PUT", "/connection/c/secret", `{"url":"https://example.com"}`).want(t, http.StatusOK)

	for _, c := range []struct{ body, kind, loc, msg string }{
		{`{"grant_type":"password","token_url":"https://x","client_id":"i","client_secret":"s"}`, "enum", `["body","grant_type"]`, "Input should be 'client_credentials'"},
		{`{"grant_type":"client_credentials","token_url":"https://x","client_id":"i"}`, "missing", `["body","client_secret"]`, "Field required"},
		{`{"token_url":"https://x","client_id":"i","client_secret":"s"}`, "missing", `["body","grant_type"]`, "Field required"},
		{`{"grant_type":"client_credentials","token_url":"https://x","client_id":"i","client_secret":"s","extra":1}`, "extra_forbidden", `["body","extra"]`, "Extra inputs are not permitted"},
		{
			`{"grant_type":"client_credentials","token_url":"https://10.0.0.1","client_id":"i","client_secret":"s"}`, "value_error", `["body","token_url"]`,
			"Value error, the address is not public, and calls to its network are not allowed",
		},
	} {
		b.call("PUT", path, c.body).wantProblem(t, c.kind, c.loc, c.msg)
	}
	for _, method := range []string{"PUT", "PATCH"} {
		b.call(method, "/connection/nope/oauth", full).wantDetail(t, http.StatusNotFound, "No connection configuration found with key 'nope'.")
		b.call(method, "/connection/p/oauth", full).wantDetail(t, http.StatusUnprocessableEntity, "OAuth2 configuration can only be set for HTTPS connections.")
	}
	b.call("DELETE", "/connection/nope/oauth", nil).wantDetail(t, http.StatusNotFound, "No connection configuration found with key 'nope'.")
	b.call("DELETE", "/connection/p/oauth", nil).wantDetail(t, http.StatusUnprocessableEntity, "OAuth2 configuration can only be deleted for HTTPS connections")
	if gone := b.call("DELETE", path, nil).want(t, http.StatusNoContent); gone.body != "" {
		t.Error(gone)
	}
	b.call("DELETE", path, nil).want(t, http.StatusNotFound)
}

func TestDeleteConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hook("used")
	b.hook("asked")
	b.call("PUT", "/dsr/policy/default_access_policy/webhook/post_execution", []any{item("used", "one_way", "Hook", "")}).want(t, http.StatusOK)
	b.call("PUT", "/dsr/webhook/pre_approval", `[{"name":"Ask","connection_config_key":"asked"}]`).want(t, http.StatusOK)

	b.call("DELETE", "/connection/nope", nil).wantDetail(t, http.StatusNotFound, "No connection configuration found with key 'nope'.")
	b.call("DELETE", "/connection/used", nil).wantDetail(t, http.StatusConflict,
		"Cannot delete connection configuration used: it is used by webhooks hook.")
	b.call("PATCH", "/connection", `[{"key":"used","connection_type":"postgres","access":"read"}]`).want(t, http.StatusOK)
	if kind := b.call("GET", "/connection/used", nil).field("connection_type"); kind != "https" {
		t.Errorf("the type of a connection in use is now %v", kind)
	}
	asked, err := b.catalog().PreApproval(t.Context())
	if err != nil || len(asked.Webhooks) != 1 {
		t.Fatal(asked, err)
	}
	if gone := b.call("DELETE", "/connection/asked", nil).want(t, http.StatusNoContent); gone.body != "" {
		t.Error(gone)
	}
	b.call("GET", "/dsr/webhook/pre_approval/ask", nil).wantDetail(t, http.StatusNotFound, "No PreApprovalWebhook found for key ask.")
	if left, err := b.catalog().PreApproval(t.Context()); err != nil || len(left.Webhooks) != 0 {
		t.Error(left, err)
	}
	if _, err := b.catalog().Connection(t.Context(), asked.Webhooks[0].ConnectionID); !errors.Is(err, catalog.ErrNotFound) {
		t.Error("the entry of a deleted connection is there", err)
	}
}

func TestETag(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hook("c")
	list := "/dsr/policy/default_access_policy/webhook/pre_execution"
	for path, change := range map[string]func(tag string) answer{
		"/connection/c": func(tag string) answer {
			return b.call("PUT", "/connection/c/secret", `{"url":"https://example.com","authorization":"a"}`, "If-Match", tag)
		},
		list: func(tag string) answer {
			return b.call("PUT", list, []any{item("c", "one_way", fmt.Sprintf("Hook %d", len(tag)), "")}, "If-Match", tag)
		},
		"/dsr/webhook/pre_approval": func(tag string) answer {
			return b.call("PUT", "/dsr/webhook/pre_approval", `[{"name":"Ask","connection_config_key":"c"}]`, "If-Match", tag)
		},
	} {
		tag := b.call("GET", path, nil).want(t, http.StatusOK).header.Get("ETag")
		if tag == "" {
			t.Fatalf("%s has no tag", path)
		}
		change(`"stale"`).want(t, http.StatusPreconditionFailed)
		change(`"stale", `+tag).want(t, http.StatusOK)
		change(tag).want(t, http.StatusPreconditionFailed)
		if now := b.call("GET", path, nil).header.Get("ETag"); now == tag {
			t.Errorf("%s has the tag that it had before", path)
		}
	}
}
