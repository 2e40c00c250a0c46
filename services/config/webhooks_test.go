package config_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	pre  = "/dsr/policy/p/webhook/pre_execution"
	post = "/dsr/policy/p/webhook/post_execution"
)

// withHooks has two policies, p and q, two connections, and one that webhooks
// cannot use.
func withHooks(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	b.hook("c1")
	b.hook("c2")
	b.call("PATCH", "/connection", `[{"key":"db","connection_type":"postgres","access":"read"}]`).want(t, http.StatusOK)
	b.call("PATCH", "/dsr/policy", `[{"name":"P"},{"name":"Q"}]`).want(t, http.StatusOK)
	return b
}

// order lists the keys of a list as GET shows it, and checks the positions.
func (b *bundle) order(path string) []any {
	b.t.Helper()
	list := b.call("GET", path, nil).want(b.t, http.StatusOK)
	for i, position := range names(list, "order") {
		if position != float64(i) {
			b.t.Errorf("the positions of %s have gaps: %v", path, names(list, "order"))
		}
	}
	return names(list, "key")
}

func TestPutWebhooks(t *testing.T) {
	t.Parallel()
	b := withHooks(t)
	for _, c := range []struct{ path, class string }{{pre, "PolicyPreWebhook"}, {post, "PolicyPostWebhook"}} {
		put := b.call("PUT", c.path, []any{item("c1", "one_way", "Wake Up", ""), item("c2", "two_way", "Prep", "prep_systems")}).want(t, http.StatusOK)
		list, _ := put.json().([]any)
		if len(list) != 2 || list[1].(map[string]any)["order"] != 1.0 || list[0].(map[string]any)["key"] != "wake_up" {
			t.Fatal(put)
		}
		page := b.call("GET", c.path, nil).want(t, http.StatusOK)
		if diff := cmp.Diff(put.json(), page.field("items")); diff != "" {
			t.Error(diff)
		}
		before, err := b.policy("p")
		if err != nil {
			t.Fatal(err)
		}

		// By its key a webhook is kept, and with it its id; the rest goes.
		b.call("PUT", c.path, []any{item("c1", "two_way", "New", ""), item("c1", "one_way", "Prepare", "prep_systems")}).want(t, http.StatusOK)
		if diff := cmp.Diff([]any{"new", "prep_systems"}, b.order(c.path)); diff != "" {
			t.Error(diff)
		}
		after, err := b.policy("p")
		if err != nil {
			t.Fatal(err)
		}
		was, is := before.Pre, after.Pre
		if c.path == post {
			was, is = before.Post, after.Post
		}
		if is[1].ID != was[1].ID || is[1].Name != "Prepare" || is[1].Direction != "one_way" || is[1].ConnectionKey != "c1" || after.Version <= before.Version {
			t.Errorf("before %+v\nafter  %+v", was, is)
		}

		// Sending a list without keys again fails: each item is new.
		b.call("PUT", c.path, []any{item("c1", "two_way", "New", "")}).wantDetail(t, http.StatusBadRequest,
			"Key new already exists in "+c.class+". Keys will be snake-cased names if not provided. If you are seeing this error without providing a key, please provide a key or a different name.")
		b.call("PUT", c.path, []any{item("c1", "two_way", "New", "newer")}).wantDetail(t, http.StatusBadRequest, "Name New already exists in "+c.class+".")
		// Names are exchanged at once.
		b.call("PUT", c.path, []any{item("c1", "two_way", "Prepare", "new"), item("c1", "two_way", "New", "prep_systems")}).want(t, http.StatusOK)
	}
	b.call("PUT", pre, `[]`).wantJSON(t, http.StatusOK, `[]`)
	if diff := cmp.Diff([]any{"new", "prep_systems"}, b.order(post)); diff != "" {
		t.Error("the other list changed", diff)
	}
}

// TestPutPartOfAList: a page that does not hold all would delete the others.
func TestPutPartOfAList(t *testing.T) {
	t.Parallel()
	b := withHooks(t)
	for _, path := range []string{pre, post, "/dsr/webhook/pre_approval"} {
		items := []any{item("c1", "one_way", "A", ""), item("c1", "one_way", "B", "")}
		if path == "/dsr/webhook/pre_approval" {
			items = []any{map[string]any{"name": "A", "connection_config_key": "c1"}, map[string]any{"name": "B", "connection_config_key": "c1"}}
		}
		b.call("PUT", path, items).want(t, http.StatusOK)
		before := b.call("GET", path, nil).want(t, http.StatusOK)
		for query, which := range map[string]string{"?size=1": "1 of 2", "?size=1&page=2": "2 of 2", "?page=7": "7 of 1"} {
			part := b.call("GET", path+query, nil).want(t, http.StatusOK)
			b.call("PUT", path, part.body).wantDetail(t, http.StatusUnprocessableEntity, "The body is page "+which+
				", and webhooks that are not on it would be deleted. Send all webhooks: as a list, or as the page of a GET whose size holds them all.")
			if after := b.call("GET", path, nil); after.body != before.body {
				t.Errorf("PUT %s with %s changed something: %s", path, query, after)
			}
		}
		b.call("PUT", path, before.body).want(t, http.StatusOK)
	}
}

func TestPutWebhooksIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := withHooks(t)
	b.call("PUT", pre, []any{item("c1", "one_way", "A", "a"), item("c1", "two_way", "B", "b")}).want(t, http.StatusOK)
	b.call("PUT", "/dsr/policy/q/webhook/pre_execution", []any{item("c1", "one_way", "C", "c")}).want(t, http.StatusOK)
	before, err := b.policy("p")
	if err != nil {
		t.Fatal(err)
	}
	shown := b.call("GET", pre, nil).body

	const duplicate = "Check request body: there are multiple webhooks whose keys or names resolve to the same value."
	changed := item("c2", "two_way", "Changed", "a")
	for name, c := range map[string]struct {
		items  []any
		status int
		detail string
	}{
		"equal keys":           {[]any{changed, item("c1", "one_way", "X", "a")}, http.StatusBadRequest, duplicate},
		"equal names":          {[]any{changed, item("c1", "one_way", "X", "x"), item("c1", "one_way", "X", "y")}, http.StatusBadRequest, duplicate},
		"two without names":    {[]any{item("c1", "one_way", "", "a"), item("c1", "one_way", "", "b")}, http.StatusBadRequest, duplicate},
		"unknown connection":   {[]any{changed, item("nope", "one_way", "X", "x")}, http.StatusNotFound, "No connection configuration found with key 'nope'."},
		"not https":            {[]any{changed, item("db", "one_way", "X", "x")}, http.StatusUnprocessableEntity, "Webhooks can only use HTTPS connections: connection db has the type postgres."},
		"a key of another":     {[]any{changed, item("c1", "one_way", "X", "c")}, http.StatusBadRequest, "PolicyPreWebhook with key c belongs to another policy."},
		"a name of another":    {[]any{changed, item("c1", "one_way", "C", "x")}, http.StatusBadRequest, "Name C already exists in PolicyPreWebhook."},
		"a name that goes":     {[]any{item("c1", "one_way", "B", "x")}, http.StatusBadRequest, "Name B already exists in PolicyPreWebhook."},
		"a key made of a name": {[]any{changed, item("c1", "one_way", "B", "")}, http.StatusBadRequest, "Key b already exists in PolicyPreWebhook. Keys will be snake-cased names if not provided. If you are seeing this error without providing a key, please provide a key or a different name."},
	} {
		refused := b.call("PUT", pre, c.items)
		if refused.status != c.status || refused.field("detail") != c.detail {
			t.Errorf("%s: %s", name, refused)
		}
	}
	for name, c := range map[string]struct{ body, kind, loc, msg string }{
		"direction":            {`[{"connection_config_key":"c1","direction":"both","name":"X"}]`, "enum", `["body",0,"direction"]`, "Input should be 'one_way' or 'two_way'"},
		"no direction":         {`[{"connection_config_key":"c1","name":"X"}]`, "missing", `["body",0,"direction"]`, "Field required"},
		"no connection":        {`[{"direction":"one_way","name":"X"}]`, "missing", `["body",0,"connection_config_key"]`, "Field required"},
		"no list":              {`{"name":"X"}`, "missing", `["body","items"]`, "Field required"},
		"a text":               {`"x"`, "list_type", `["body"]`, "Input should be a valid list"},
		"neither name nor key": {`[{"connection_config_key":"c1","direction":"one_way"}]`, "value_error", `["body",0,"name"]`, "Value error, PolicyPreWebhook requires a name."},
		"new without a name":   {`[{"connection_config_key":"c1","direction":"one_way","key":"x"}]`, "value_error", `["body",0,"name"]`, "Value error, PolicyPreWebhook requires a name."},
		"no key in a name":     {`[{"connection_config_key":"c1","direction":"one_way","name":"***"}]`, "value_error", `["body",0,"name"]`, "Value error, FidesKeys must only contain alphanumeric characters, '_' or '-', and have 1 to 255 of them."},
		"bad key":              {`[{"connection_config_key":"c1","direction":"one_way","name":"X","key":"a b"}]`, "value_error", `["body",0,"key"]`, "Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. Value provided: a b"},
		"bad path":             {`[]`, "", "", ""},
	} {
		if name == "bad path" {
			b.call("PUT", "/dsr/policy/no%20key/webhook/pre_execution", c.body).wantProblem(t, "value_error", `["path","policy_key"]`,
				"Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. Value provided: no key")
			continue
		}
		b.call("PUT", pre, c.body).wantProblem(t, c.kind, c.loc, c.msg)
	}
	var many []any
	for i := range 51 {
		many = append(many, item("c1", "one_way", fmt.Sprint("Hook ", i), ""))
	}
	b.call("PUT", pre, many).wantProblem(t, "too_long", `["body"]`, "List should have at most 50 items after validation, not 51")
	b.call("PUT", "/dsr/policy/nope/webhook/pre_execution", []any{item("nope", "one_way", "X", "")}).wantDetail(t, http.StatusNotFound, "No Policy found for key nope.")

	if now := b.call("GET", pre, nil).body; now != shown {
		t.Errorf("a refused change was stored: %s", now)
	}
	after, err := b.policy("p")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error("a refused change was published", diff)
	}
	b.call("PUT", pre, many[:50]).want(t, http.StatusOK)
}

func TestGetWebhook(t *testing.T) {
	t.Parallel()
	b := withHooks(t)
	b.call("PUT", pre, []any{item("c1", "one_way", "A", "")}).want(t, http.StatusOK)
	b.call("PUT", post, []any{item("c1", "two_way", "A", ""), item("c1", "two_way", "B", "")}).want(t, http.StatusOK)
	one := b.call("GET", pre+"/a", nil).want(t, http.StatusOK)
	if !strings.HasPrefix(one.body, `{"direction":"one_way","key":"a","name":"A","connection_config":{"connection_type":"https",`) || one.field("order") != 0.0 {
		t.Error(one)
	}
	b.call("GET", post+"?size=1&page=2", nil).want(t, http.StatusOK)
	for path, detail := range map[string]string{
		"/dsr/policy/nope/webhook/pre_execution/a": "No Policy found for key nope.",
		"/dsr/policy/nope/webhook/post_execution":  "No Policy found for key nope.",
		"/dsr/policy/q/webhook/pre_execution/a":    "No Pre-Execution Webhook found for key 'a' on Policy 'q'.",
		pre + "/b":                                 "No Pre-Execution Webhook found for key 'b' on Policy 'p'.",
		post + "/c":                                "No Post-Execution Webhook found for key 'c' on Policy 'p'.",
	} {
		b.call("GET", path, nil).wantDetail(t, http.StatusNotFound, detail)
	}
}

func TestPatchWebhook(t *testing.T) {
	t.Parallel()
	b := withHooks(t)
	five := []any{}
	for i := range 5 {
		five = append(five, item("c1", "one_way", fmt.Sprint("w", i), ""))
	}
	b.call("PUT", pre, five).want(t, http.StatusOK)
	for _, move := range []struct {
		key  string
		to   int
		want []any
	}{
		{"w4", 0, []any{"w4", "w0", "w1", "w2", "w3"}},
		{"w4", 0, []any{"w4", "w0", "w1", "w2", "w3"}},
		{"w4", 2, []any{"w0", "w1", "w4", "w2", "w3"}},
		{"w0", 4, []any{"w1", "w4", "w2", "w3", "w0"}},
	} {
		reply := b.call("PATCH", pre+"/"+move.key, map[string]any{"order": move.to}).want(t, http.StatusOK)
		if got := reply.field("resource").(map[string]any)["order"]; got != float64(move.to) {
			t.Errorf("%s to %d: the resource says %v", move.key, move.to, got)
		}
		if diff := cmp.Diff(move.want, b.order(pre)); diff != "" {
			t.Errorf("%s to %d: %s", move.key, move.to, diff)
		}
	}
	entry, err := b.policy("p")
	if err != nil || entry.Pre[4].Key != "w0" {
		t.Errorf("the entry: %+v, %v", entry.Pre, err)
	}

	reply := b.call("PATCH", pre+"/w1", `{"direction":"two_way","name":"Renamed","connection_config_key":"c2","order":null}`).want(t, http.StatusOK)
	if !strings.HasPrefix(reply.body, `{"resource":{"direction":"two_way","key":"w1","name":"Renamed",`) || !strings.HasSuffix(reply.body, `"order":0},"new_order":[]}`+"\n") {
		t.Error(reply.body)
	}
	b.call("PATCH", pre+"/w1", `{}`).want(t, http.StatusOK)
	b.call("PATCH", pre+"/w1", `{"order":0,"name":null}`).want(t, http.StatusOK)

	shown := b.call("GET", pre, nil).body
	for body, detail := range map[string]string{
		`{"order":5,"name":"Not stored"}`:     "Cannot set order to 5: there are only 5 PolicyPreWebhook(s) defined on this Policy.",
		`{"order":-1}`:                        "Cannot set order to -1: there are only 5 PolicyPreWebhook(s) defined on this Policy.",
		`{"name":"w2","direction":"one_way"}`: "Name w2 already exists in PolicyPreWebhook.",
	} {
		b.call("PATCH", pre+"/w1", body).wantDetail(t, http.StatusBadRequest, detail)
	}
	b.call("PATCH", pre+"/w1", `{"connection_config_key":"nope"}`).wantDetail(t, http.StatusNotFound, "No connection configuration found with key 'nope'.")
	b.call("PATCH", pre+"/w1", `{"connection_config_key":"db"}`).want(t, http.StatusUnprocessableEntity)
	b.call("PATCH", pre+"/w1", `{"key":"other"}`).wantProblem(t, "extra_forbidden", `["body","key"]`, "Extra inputs are not permitted")
	b.call("PATCH", pre+"/w1", `{"name":" "}`).wantProblem(t, "value_error", `["body","name"]`, "Value error, PolicyPreWebhook requires a name.")
	b.call("PATCH", pre+"/w1", `{"order":"x"}`).wantProblem(t, "int_parsing", `["body","order"]`, "Input should be a valid integer, unable to parse string as an integer")
	b.call("PATCH", pre+"/nope", `{}`).wantDetail(t, http.StatusNotFound, "No Pre-Execution Webhook found for key 'nope' on Policy 'p'.")
	b.call("PATCH", "/dsr/policy/nope/webhook/pre_execution/w1", `{}`).wantDetail(t, http.StatusNotFound, "No Policy found for key nope.")
	if now := b.call("GET", pre, nil).body; now != shown {
		t.Errorf("a refused change was stored: %s", now)
	}
	b.call("PUT", post, []any{item("c1", "one_way", "a", ""), item("c1", "one_way", "b", "")}).want(t, http.StatusOK)
	b.call("PATCH", post+"/a", `{"order":2}`).wantDetail(t, http.StatusBadRequest, "Cannot set order to 2: there are only 2 PolicyPostWebhook(s) defined on this Policy.")
	moved := b.call("PATCH", post+"/a", `{"order":1}`).want(t, http.StatusOK)
	if !strings.HasSuffix(moved.body, `"new_order":[{"key":"b","order":0},{"key":"a","order":1}]}`+"\n") {
		t.Error(moved.body)
	}
}

func TestDeleteWebhook(t *testing.T) {
	t.Parallel()
	b := withHooks(t)
	b.call("PUT", post, []any{item("c1", "one_way", "a", ""), item("c1", "one_way", "b", ""), item("c1", "one_way", "d", "")}).want(t, http.StatusOK)
	b.call("DELETE", post+"/a", nil).wantJSON(t, http.StatusOK, `{"new_order":[{"key":"b","order":0},{"key":"d","order":1}]}`)
	b.call("DELETE", post+"/d", nil).wantJSON(t, http.StatusOK, `{"new_order":[]}`)
	b.call("DELETE", post+"/a", nil).wantDetail(t, http.StatusNotFound, "No Post-Execution Webhook found for key 'a' on Policy 'p'.")
	b.call("DELETE", "/dsr/policy/q/webhook/post_execution/b", nil).wantDetail(t, http.StatusNotFound, "No Post-Execution Webhook found for key 'b' on Policy 'q'.")
	entry, err := b.policy("p")
	if err != nil || len(entry.Post) != 1 || entry.Post[0].Key != "b" {
		t.Errorf("the entry: %+v, %v", entry, err)
	}
}

func TestPreApprovalWebhooks(t *testing.T) {
	t.Parallel()
	b := withHooks(t)
	const path = "/dsr/webhook/pre_approval"
	put := b.call("PUT", path, `[{"name":"First","connection_config_key":"c1"},{"name":"Second","key":"two","connection_config_key":"c2"}]`).want(t, http.StatusOK)
	if !strings.HasPrefix(put.body, `[{"key":"first","name":"First","connection_config":{"connection_type":"https",`) {
		t.Error(put.body)
	}
	list := b.call("GET", path, nil).want(t, http.StatusOK)
	if diff := cmp.Diff([]any{"first", "two"}, names(list, "key")); diff != "" {
		t.Error(diff)
	}
	b.call("PUT", path, list.body).want(t, http.StatusOK)
	b.call("PUT", path, `[{"name":"Second","key":"two","connection_config_key":"c2"},{"name":"Third","connection_config_key":"c1"}]`).want(t, http.StatusOK)
	if diff := cmp.Diff([]any{"third", "two"}, names(b.call("GET", path, nil), "key")); diff != "" {
		t.Error("newest first", diff)
	}
	entry, err := b.catalog().PreApproval(t.Context())
	if err != nil || len(entry.Webhooks) != 2 || entry.Webhooks[0].Key != "two" || entry.Webhooks[0].Direction != "two_way" || !strings.HasPrefix(entry.Webhooks[0].ID, "pre_") {
		t.Errorf("the entry: %+v, %v", entry, err)
	}

	one := b.call("PATCH", path+"/two", `{"name":"Zwei","connection_config_key":"c1"}`).want(t, http.StatusOK)
	if one.field("name") != "Zwei" || one.field("key") != "two" {
		t.Error(one)
	}
	if diff := cmp.Diff(one.json(), b.call("GET", path+"/two", nil).want(t, http.StatusOK).json()); diff != "" {
		t.Error(diff)
	}
	b.call("PATCH", path+"/two", `{"name":"Third"}`).wantDetail(t, http.StatusBadRequest, "Name Third already exists in PreApprovalWebhook.")
	b.call("PATCH", path+"/two", `{"name":" "}`).wantProblem(t, "value_error", `["body","name"]`, "Value error, PreApprovalWebhook requires a name.")
	b.call("PATCH", path+"/two", `{"key":"x"}`).wantProblem(t, "extra_forbidden", `["body","key"]`, "Extra inputs are not permitted")
	b.call("PATCH", path+"/two", `{"connection_config_key":"nope"}`).wantDetail(t, http.StatusNotFound, "No connection configuration found with key 'nope'.")
	b.call("PUT", path, `[{"name":"A","connection_config_key":"c1"},{"name":"A","key":"x","connection_config_key":"c1"}]`).wantDetail(t, http.StatusBadRequest,
		"Check request body: there are multiple webhooks whose keys or names resolve to the same value.")
	b.call("PUT", path, `[{"name":"Third","connection_config_key":"c1"}]`).wantDetail(t, http.StatusBadRequest,
		"Key third already exists in PreApprovalWebhook. Keys will be snake-cased names if not provided. If you are seeing this error without providing a key, please provide a key or a different name.")
	b.call("PUT", path, `[{"connection_config_key":"c1"}]`).wantProblem(t, "missing", `["body",0,"name"]`, "Field required")
	b.call("PUT", path, `[{"name":"A","connection_config_key":"nope"}]`).wantDetail(t, http.StatusNotFound, "No connection configuration found with key 'nope'.")
	b.call("PUT", path, `[{"name":"A","connection_config_key":"db"}]`).want(t, http.StatusUnprocessableEntity)

	b.call("DELETE", path+"/two", nil).wantJSON(t, http.StatusOK, `null`)
	for _, method := range []string{"GET", "DELETE"} {
		b.call(method, path+"/two", nil).wantDetail(t, http.StatusNotFound, "No PreApprovalWebhook found for key two.")
	}
	b.call("PATCH", path+"/two", `{}`).wantDetail(t, http.StatusNotFound, "No PreApprovalWebhook found for key two.")
}
