package config_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/token"
)

func TestToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		form   url.Values
		basic  []string
		status int
	}{
		"form":                      {form: url.Values{"client_id": {rootID}, "client_secret": {rootSecret}}, status: http.StatusOK},
		"grant type and scope":      {form: url.Values{"client_id": {rootID}, "client_secret": {rootSecret}, "grant_type": {"client_credentials"}, "scope": {"x"}}, status: http.StatusOK},
		"basic":                     {basic: []string{rootID, rootSecret}, status: http.StatusOK},
		"basic where half a form":   {form: url.Values{"client_id": {"nobody"}}, basic: []string{rootID, rootSecret}, status: http.StatusOK},
		"the form goes first":       {form: url.Values{"client_id": {rootID}, "client_secret": {"wrong"}}, basic: []string{rootID, rootSecret}, status: http.StatusUnauthorized},
		"nothing":                   {status: http.StatusUnauthorized},
		"wrong secret":              {form: url.Values{"client_id": {rootID}, "client_secret": {"wrong"}}, status: http.StatusUnauthorized},
		"unknown client":            {form: url.Values{"client_id": {"nobody"}, "client_secret": {rootSecret}}, status: http.StatusUnauthorized},
		"unknown client, no secret": {basic: []string{"nobody", ""}, status: http.StatusUnauthorized},
		"another grant type":        {form: url.Values{"client_id": {rootID}, "client_secret": {rootSecret}, "grant_type": {"password"}}, status: http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), "POST", b.url+"/api/v1/oauth/token", strings.NewReader(c.form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if c.basic != nil {
				request.SetBasicAuth(c.basic[0], c.basic[1])
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			var body map[string]any
			if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != c.status {
				t.Fatalf("status %d, want %d: %v", response.StatusCode, c.status, body)
			}
			if c.status == http.StatusUnauthorized && body["detail"] != "Authentication Failure" {
				t.Errorf("detail %v", body["detail"])
			}
		})
	}

	reply := b.form("/oauth/token", url.Values{"client_id": {rootID}, "client_secret": {rootSecret}}).want(t, http.StatusOK)
	if !regexp.MustCompile(`^\{"access_token":"[^"]+","token_type":"Bearer","expires_in":691200,"expires_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"\}\n$`).MatchString(reply.body) {
		t.Errorf("the form of the answer: %s", reply.body)
	}
	access, err := token.ReadAccess(b.ring, reply.field("access_token").(string))
	if err != nil {
		t.Fatal(err)
	}
	if access.ClientID != rootID || !cmp.Equal(access.Roles, []string{"owner"}) || !cmp.Equal(access.Scopes, edge.AllScopes()) {
		t.Errorf("the token says %+v", access)
	}
}

func TestScopesGuardEveryOperation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	nobody := b.clientWith()
	for operation, scope := range map[string]string{
		"POST /oauth/client":                            "client:create",
		"GET /oauth/client":                             "client:read",
		"GET /oauth/client/x":                           "client:read",
		"PUT /oauth/client/x":                           "client:update",
		"DELETE /oauth/client/x":                        "client:delete",
		"POST /oauth/client/x/secret":                   "client:update",
		"GET /oauth/client/x/scope":                     "client:read",
		"PUT /oauth/client/x/scope":                     "client:update",
		"GET /oauth/scope":                              "scope:read",
		"GET /oauth/role":                               "scope:read",
		"PATCH /connection":                             "connection:create_or_update",
		"GET /connection":                               "connection:read",
		"GET /connection/x":                             "connection:read",
		"DELETE /connection/x":                          "connection:delete",
		"PUT /connection/x/secret":                      "connection:create_or_update",
		"PATCH /connection/x/secret":                    "connection:create_or_update",
		"GET /connection/x/test":                        "connection:read",
		"PUT /connection/x/oauth":                       "connection:create_or_update",
		"PATCH /connection/x/oauth":                     "connection:create_or_update",
		"DELETE /connection/x/oauth":                    "connection:create_or_update",
		"GET /dsr/policy":                               "policy:read",
		"PATCH /dsr/policy":                             "policy:create_or_update",
		"GET /dsr/policy/x":                             "policy:read",
		"DELETE /dsr/policy/x":                          "policy:delete",
		"GET /dsr/policy/x/rule":                        "rule:read",
		"PATCH /dsr/policy/x/rule":                      "rule:create_or_update",
		"GET /dsr/policy/x/rule/x":                      "rule:read",
		"DELETE /dsr/policy/x/rule/x":                   "rule:delete",
		"GET /dsr/policy/x/rule/x/target":               "rule:read",
		"PATCH /dsr/policy/x/rule/x/target":             "rule:create_or_update",
		"GET /dsr/policy/x/rule/x/target/x":             "rule:read",
		"DELETE /dsr/policy/x/rule/x/target/x":          "rule:delete",
		"GET /dsr/policy/x/webhook/pre_execution":       "webhook:read",
		"PUT /dsr/policy/x/webhook/pre_execution":       "webhook:create_or_update",
		"GET /dsr/policy/x/webhook/pre_execution/x":     "webhook:read",
		"PATCH /dsr/policy/x/webhook/pre_execution/x":   "webhook:create_or_update",
		"DELETE /dsr/policy/x/webhook/pre_execution/x":  "webhook:delete",
		"GET /dsr/policy/x/webhook/post_execution":      "webhook:read",
		"PUT /dsr/policy/x/webhook/post_execution":      "webhook:create_or_update",
		"GET /dsr/policy/x/webhook/post_execution/x":    "webhook:read",
		"PATCH /dsr/policy/x/webhook/post_execution/x":  "webhook:create_or_update",
		"DELETE /dsr/policy/x/webhook/post_execution/x": "webhook:delete",
		"GET /dsr/webhook/pre_approval":                 "webhook:read",
		"PUT /dsr/webhook/pre_approval":                 "webhook:create_or_update",
		"GET /dsr/webhook/pre_approval/x":               "webhook:read",
		"PATCH /dsr/webhook/pre_approval/x":             "webhook:create_or_update",
		"DELETE /dsr/webhook/pre_approval/x":            "webhook:delete",
		"GET /config":                                   "config:read",
		"PATCH /config":                                 "config:update",
		"DELETE /config":                                "config:update",
		"GET /config/audit":                             "config:read",
	} {
		method, path, _ := strings.Cut(operation, " ")
		b.callAs("", method, path, nil).wantDetail(t, http.StatusUnauthorized, "Failed to authenticate")
		b.callAs("invalid", method, path, nil).wantDetail(t, http.StatusForbidden, "Not Authorized for this action")
		b.callAs(nobody, method, path, nil).wantDetail(t, http.StatusForbidden,
			"Not Authorized for this action. Required scope(s): ["+scope+"]")
	}
}

func TestClients(t *testing.T) {
	t.Parallel()
	b := setup(t)

	made := b.call("POST", "/oauth/client", `{"name":"CI","description":"d","scopes":["webhook:read","client:create","client:update"]}`).want(t, http.StatusOK)
	if !regexp.MustCompile(`^\{"client_id":"[0-9a-f]{32}","client_secret":"[0-9a-f]{32}"\}\n$`).MatchString(made.body) {
		t.Errorf("the form of the answer: %s", made.body)
	}
	id, secret := made.field("client_id").(string), made.field("client_secret").(string)
	shown := `{"client_id":"` + id + `","name":"CI","description":"d","scopes":["webhook:read","client:create","client:update"]}`
	b.call("GET", "/oauth/client/"+id, nil).wantJSON(t, http.StatusOK, shown)
	b.call("GET", "/oauth/client", nil).wantJSON(t, http.StatusOK, `{"items":[`+shown+`],"total":1,"page":1,"size":50,"pages":1}`)

	own := b.login(id, secret)
	b.callAs(own, "GET", "/dsr/policy/default_access_policy/webhook/pre_execution", nil).want(t, http.StatusOK)
	b.callAs(own, "POST", "/oauth/client", `{"scopes":["webhook:read","policy:read","rule:read"]}`).wantDetail(t, http.StatusForbidden,
		"Cannot assign scopes that you do not have. Missing scopes: ['policy:read', 'rule:read']")
	b.callAs(own, "PUT", "/oauth/client/"+id+"/scope", `["policy:read"]`).wantDetail(t, http.StatusForbidden,
		"Cannot assign scopes that you do not have. Missing scopes: ['policy:read']")
	stronger := b.call("POST", "/oauth/client", `{"scopes":["webhook:read","config:update"]}`).want(t, http.StatusOK).field("client_id").(string)
	b.callAs(own, "POST", "/oauth/client/"+stronger+"/secret", nil).wantDetail(t, http.StatusForbidden,
		"Cannot take over a client with scopes that you do not have. Missing scopes: ['config:update']")
	b.call("DELETE", "/oauth/client/"+stronger, nil).want(t, http.StatusOK)
	unknown := b.call("POST", "/oauth/client", `{"scopes":["nonsense"]}`).want(t, http.StatusForbidden)
	if !strings.HasPrefix(unknown.field("detail").(string), "Invalid Scope. Scopes must be one of ['") {
		t.Error(unknown)
	}
	b.call("POST", "/oauth/client", `{"name":" "}`).want(t, http.StatusUnprocessableEntity)
	b.call("POST", "/oauth/client", nil).want(t, http.StatusOK)

	b.call("PUT", "/oauth/client/"+id, `{"name":"CI 2"}`).wantJSON(t, http.StatusOK, strings.Replace(shown, "CI", "CI 2", 1))
	b.call("PUT", "/oauth/client/"+id, `{"description":null}`).wantJSON(t, http.StatusOK,
		`{"client_id":"`+id+`","name":"CI 2","description":null,"scopes":["webhook:read","client:create","client:update"]}`)
	b.call("PUT", "/oauth/client/"+id, `{"name":""}`).want(t, http.StatusUnprocessableEntity)
	b.call("PUT", "/oauth/client/"+id, `{"scopes":["nonsense"]}`).want(t, http.StatusForbidden)

	rotated := b.call("POST", "/oauth/client/"+id+"/secret", nil).want(t, http.StatusOK)
	b.form("/oauth/token", url.Values{"client_id": {id}, "client_secret": {secret}}).want(t, http.StatusUnauthorized)
	b.login(id, rotated.field("client_secret").(string))

	// A scope that is taken away makes every token that lists it worthless.
	b.call("PUT", "/oauth/client/"+id+"/scope", `["webhook:read"]`).wantJSON(t, http.StatusOK, `null`)
	b.call("GET", "/oauth/client/"+id+"/scope", nil).wantJSON(t, http.StatusOK, `["webhook:read"]`)
	b.callAs(own, "GET", "/dsr/policy/default_access_policy/webhook/pre_execution", nil).want(t, http.StatusForbidden)
	entry, err := b.catalog().Client(t.Context(), id)
	if err != nil || !cmp.Equal(entry.Scopes, []string{"webhook:read"}) {
		t.Errorf("the entry: %+v, %v", entry, err)
	}

	b.call("DELETE", "/oauth/client/"+id, nil).wantJSON(t, http.StatusOK, `null`)
	b.call("DELETE", "/oauth/client/"+id, nil).wantJSON(t, http.StatusOK, `null`)
	if _, err := b.catalog().Client(t.Context(), id); err == nil {
		t.Error("the entry of a deleted client is there")
	} else if !errors.Is(err, catalog.ErrNotFound) {
		t.Error(err)
	}
	for _, path := range []string{"/oauth/client/" + id, "/oauth/client/" + rootID} {
		b.call("GET", path, nil).wantDetail(t, http.StatusNotFound, "Client not found.")
		b.call("PUT", path, `{"name":"x"}`).wantDetail(t, http.StatusNotFound, "Client not found.")
		b.call("POST", path+"/secret", nil).wantDetail(t, http.StatusNotFound, "Client not found.")
		b.call("GET", path+"/scope", nil).wantJSON(t, http.StatusOK, `[]`)
		b.call("PUT", path+"/scope", `[]`).wantJSON(t, http.StatusOK, `null`)
	}

	scopes := b.call("GET", "/oauth/scope", nil).want(t, http.StatusOK)
	roles := b.call("GET", "/oauth/role", nil).want(t, http.StatusOK)
	if !cmp.Equal(scopes.json(), roles.field("owner")) {
		t.Error("an owner has not every scope")
	}
}
