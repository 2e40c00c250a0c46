package config_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	document "github.com/parley-dsr/parley/services/config/api"
)

// What the examples of the document are about.
const (
	exampleConnection = "test_webhook_connection_config"
	examplePolicy     = "email_erasure"
	exampleWebhook    = "wake_up_snowflake_db"
	exampleClient     = "7f1c1d8a9b3e4f5aa1b2c3d4e5f60718"
)

// stage makes what an operation works on: everything that the examples name, but
// for what the operation itself is to create. The policy that other examples
// have worked on is made anew: what they left in it may contradict a target.
func (b *bundle) stage(operation string) {
	b.t.Helper()
	b.removePolicy()
	b.call("PATCH", "/connection", []any{map[string]any{
		"key": exampleConnection, "name": "C", "connection_type": "https", "access": "read",
	}}).want(b.t, http.StatusOK)
	b.call("PUT", "/connection/"+exampleConnection+"/oauth", `{"grant_type":"client_credentials","token_url":"https://idp.example.com/t","client_id":"c","client_secret":"s"}`).want(b.t, http.StatusOK)
	b.call("PUT", "/connection/"+exampleConnection+"/secret", `{"url":"https://www.example.com","authorization":"a"}`).want(b.t, http.StatusOK)
	b.call("PATCH", "/dsr/policy", `[{"key":"email_erasure","name":"Email erasure"}]`).want(b.t, http.StatusOK)
	b.call("PATCH", "/dsr/policy/"+examplePolicy+"/rule", `[{"key":"email_erasure_rule","name":"R","action_type":"erasure","masking_strategy":{"strategy":"hmac"}}]`).want(b.t, http.StatusOK)
	b.call("PATCH", "/dsr/policy/"+examplePolicy+"/rule/email_erasure_rule/target", `[{"key":"email","name":"T","data_category":"user.contact.email"}]`).want(b.t, http.StatusOK)
	hooks := []any{item(exampleConnection, "one_way", "Wake up", exampleWebhook), item(exampleConnection, "two_way", "Prep", "prep_systems_webhook")}
	switch operation {
	case "upsertPolicies", "deletePolicy", "deleteConnection", "putPreWebhooks", "putPostWebhooks":
		hooks = []any{}
	}
	for _, kind := range []string{"pre_execution", "post_execution"} {
		b.call("PUT", "/dsr/policy/"+examplePolicy+"/webhook/"+kind, hooks).want(b.t, http.StatusOK)
	}
	b.call("PUT", "/dsr/webhook/pre_approval", []any{map[string]any{
		"key": exampleWebhook, "name": "Hold", "connection_config_key": exampleConnection,
	}}).want(b.t, http.StatusOK)
	if operation == "upsertPolicies" {
		b.removePolicy()
	}
}

func (b *bundle) removePolicy() {
	b.t.Helper()
	path := "/dsr/policy/" + examplePolicy
	if b.call("GET", path, nil).status == http.StatusNotFound {
		return
	}
	for _, kind := range []string{"pre_execution", "post_execution"} {
		b.call("PUT", path+"/webhook/"+kind, []any{}).want(b.t, http.StatusOK)
	}
	b.call("DELETE", path, nil).want(b.t, http.StatusNoContent)
}

// exampleRequest is a request as the document has it, with a client that exists
// in place of the one that it names.
func exampleRequest(t *testing.T, path string, item *openapi3.PathItem, o *openapi3.Operation, client string) (address, contentType, body string) {
	t.Helper()
	for _, p := range slices.Concat(item.Parameters, o.Parameters) {
		if p.Value.In != openapi3.ParameterInPath {
			continue
		}
		example, _ := p.Value.Example.(string)
		if example == "" {
			t.Fatalf("the parameter %s has no example", p.Value.Name)
		}
		path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", example)
	}
	address = strings.ReplaceAll(path, exampleClient, client)
	if o.RequestBody == nil {
		return address, "", ""
	}
	for contentType, media := range o.RequestBody.Value.Content {
		if media.Example == nil {
			t.Fatal("the body has no example")
		}
		if err := media.Schema.Value.VisitJSON(media.Example); err != nil {
			t.Errorf("the example does not fit the schema: %v", err)
		}
		if contentType == "application/json" {
			text, err := json.Marshal(media.Example)
			if err != nil {
				t.Fatal(err)
			}
			return address, contentType, string(text)
		}
		form := url.Values{}
		for name, value := range media.Example.(map[string]any) {
			form.Set(name, value.(string))
		}
		form.Set("client_id", rootID)
		form.Set("client_secret", rootSecret)
		return address, contentType, form.Encode()
	}
	return address, "", ""
}

// Every operation of the document is sent as its example shows it, and answers
// with its first status and a body that fits.
func TestExamples(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(document.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t)
	orchestrator(t, b.nc, nil)
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			t.Run(operation.OperationID, func(t *testing.T) { // one after the other: they share the stage
				b.stage(operation.OperationID)
				client := b.call("POST", "/oauth/client", `{"scopes":["policy:read"]}`).want(t, http.StatusOK).field("client_id").(string)
				address, contentType, body := exampleRequest(t, path, item, operation, client)
				got := b.do(method, address, b.root, contentType, strings.NewReader(body))
				fits(t, operation, got)
			})
		}
	}
}

// fits compares an answer with the success that the document names.
func fits(t *testing.T, o *openapi3.Operation, got answer) {
	t.Helper()
	for status, response := range o.Responses.Map() {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		want, err := strconv.Atoi(status)
		if err != nil {
			t.Fatal(err)
		}
		got.want(t, want)
		media := response.Value.Content.Get("application/json")
		if media == nil {
			if got.body != "" {
				t.Errorf("a body that the document does not have: %s", got.body)
			}
			return
		}
		if err := media.Schema.Value.VisitJSON(got.json()); err != nil {
			t.Errorf("%s\ndoes not fit: %v", got.body, err)
		}
		if failed, _ := got.field("failed").([]any); len(failed) > 0 {
			t.Errorf("an item of the example fails: %s", got.body)
		}
		return
	}
	t.Error("the document names no success")
}

// Every operation names what it may be refused with, whatever it does: without a
// token, without the scope, with a parameter that does not fit, and while the
// database is away.
func TestEveryRefusalIsDocumented(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(document.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			want := []int{http.StatusUnauthorized}
			if len(*operation.Security) > 0 {
				want = append(want, http.StatusForbidden)
			}
			if path != "/api/v1/oauth/scope" && path != "/api/v1/oauth/role" { // these ask nobody
				want = append(want, http.StatusServiceUnavailable)
			}
			if method != http.MethodGet && path != "/api/v1/config" {
				want = append(want, http.StatusUnprocessableEntity)
			}
			for _, status := range want {
				if operation.Responses.Value(strconv.Itoa(status)) == nil {
					t.Errorf("%s does not name %d", operation.OperationID, status)
				}
			}
		}
	}
}
