package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/token"
)

// TestStaleTags sends every change that takes If-Match with the tag of another
// state: it is refused, and changes nothing.
func TestStaleTags(t *testing.T) {
	t.Parallel()
	b := withHooks(t)
	b.call("PUT", pre, []any{item("c1", "one_way", "A", ""), item("c1", "one_way", "B", "")}).want(t, http.StatusOK)
	b.call("PUT", post, []any{item("c1", "one_way", "A", "")}).want(t, http.StatusOK)
	b.call("PUT", "/dsr/webhook/pre_approval", `[{"name":"Ask","connection_config_key":"c1"}]`).want(t, http.StatusOK)
	const oauth = `{"grant_type":"client_credentials","token_url":"https://idp.example.com/t","client_id":"c","client_secret":"s"}`
	b.call("PUT", "/connection/c2/oauth", oauth).want(t, http.StatusOK)
	const stale = "The resource has changed since it was read. Read it again, then repeat the change."
	for _, c := range []struct{ resource, method, path, body string }{
		{"/connection/c2", "PUT", "/connection/c2/secret", `{"url":"https://example.com"}`},
		{"/connection/c2", "PATCH", "/connection/c2/secret", `{"url":"https://example.com/other"}`},
		{"/connection/c2", "PATCH", "/connection/c2/oauth", `{"client_secret":"other"}`},
		{"/connection/c2", "DELETE", "/connection/c2/oauth", ""},
		{"/connection/c2", "PUT", "/connection/c2/oauth", oauth},
		{"/connection/c2", "PATCH", "/connection", `[{"key":"c2","connection_type":"https","access":"read","description":"New"}]`},
		{"/connection/c2", "DELETE", "/connection/c2", ""},
		{pre, "PATCH", pre + "/a", `{"order":1}`},
		{pre, "DELETE", pre + "/a", ""},
		{pre, "PUT", pre, `[]`},
		{post, "PATCH", post + "/a", `{"name":"Z"}`},
		{post, "DELETE", post + "/a", ""},
		{post, "PUT", post, `[{"name":"N","direction":"one_way","connection_config_key":"c1"}]`},
		{"/dsr/webhook/pre_approval", "PATCH", "/dsr/webhook/pre_approval/ask", `{"name":"Z"}`},
		{"/dsr/webhook/pre_approval", "DELETE", "/dsr/webhook/pre_approval/ask", ""},
		{"/dsr/webhook/pre_approval", "PUT", "/dsr/webhook/pre_approval", `[{"name":"N","connection_config_key":"c1"}]`},
	} {
		before := b.call("GET", c.resource, nil).want(t, http.StatusOK)
		body := any(c.body)
		if c.body == "" {
			body = nil
		}
		b.call(c.method, c.path, body, "If-Match", `"another"`).wantDetail(t, http.StatusPreconditionFailed, stale)
		if now := b.call("GET", c.resource, nil); now.body != before.body || now.header.Get("ETag") != before.header.Get("ETag") {
			t.Errorf("%s %s changed something: %s", c.method, c.path, now)
		}
		// A proxy that compresses makes a tag weak.
		got := b.call(c.method, c.path, body, "If-Match", "W/"+before.header.Get("ETag"))
		if got.status != http.StatusOK && got.status != http.StatusNoContent {
			t.Errorf("%s %s with the present tag: %s", c.method, c.path, got)
		}
	}
}

// TestTagOfOneConnection: a list of several has no version, and a connection
// that is not there has none either.
func TestTagOfOneConnection(t *testing.T) {
	t.Parallel()
	b := withHooks(t)
	const fresh = `{"key":"fresh","connection_type":"https","access":"read"}`
	b.call("PATCH", "/connection", "["+fresh+"]", "If-Match", `"any"`).want(t, http.StatusPreconditionFailed)
	b.call("PATCH", "/connection", `[{"key":"c1","connection_type":"https","access":"read"},`+fresh+"]", "If-Match", `"any"`).
		wantDetail(t, http.StatusUnprocessableEntity,
			"If-Match names the version of one connection: send its item alone, or leave the header out.")
	b.call("GET", "/connection/fresh", nil).want(t, http.StatusNotFound)
}

// TestKeysAreRefusedUpFront: these could never be changed again.
func TestKeysAreRefusedUpFront(t *testing.T) {
	t.Parallel()
	b := withHooks(t)
	for _, key := range []string{"a.b", "a<b", "a>b", strings.Repeat("k", 256)} {
		for _, c := range []struct{ method, path, item string }{
			{"PATCH", "/connection", `"name":"N","connection_type":"https","access":"read"`},
			{"PATCH", "/dsr/policy", `"name":"N"`},
			{"PATCH", "/dsr/policy/p/rule", `"name":"N","action_type":"access"`},
			{"PUT", pre, `"name":"N","direction":"one_way","connection_config_key":"c1"`},
			{"PUT", post, `"name":"N","direction":"one_way","connection_config_key":"c1"`},
			{"PUT", "/dsr/webhook/pre_approval", `"name":"N","connection_config_key":"c1"`},
		} {
			got := b.call(c.method, c.path, `[{"key":"`+key+`",`+c.item+`}]`)
			if got.status != http.StatusUnprocessableEntity {
				t.Errorf("%s with the key %.10s: %s", c.path, key, got)
			}
		}
	}
	b.call("PUT", pre, []any{item("c1", "one_way", "N", strings.Repeat("k", 255))}).want(t, http.StatusOK)
}

// TestParentsAreChecked asks for what exists, under a parent that does not have
// it, and under one that does not exist.
func TestParentsAreChecked(t *testing.T) {
	t.Parallel()
	b := withHooks(t)
	b.call("PATCH", "/dsr/policy/p/rule", `[{"name":"R","action_type":"access"}]`).want(t, http.StatusOK)
	b.call("PATCH", "/dsr/policy/p/rule/r/target", `[{"name":"T","data_category":"user.name"}]`).want(t, http.StatusOK)
	const noPolicy = "No Policy found for key nope."
	for _, c := range []struct{ method, path, body, detail string }{
		{"PATCH", "/dsr/policy/q/rule/r/target", `[{"data_category":"user.name"}]`, "No Rule found for key r attached to policy q"},
		{"GET", "/dsr/policy/q/rule/r/target", "", "No Rule found for key r attached to policy q"},
		{"GET", "/dsr/policy/q/rule/r/target/t", "", "No Rule found for key r attached to policy q"},
		{"PATCH", "/dsr/policy/nope/rule/r/target", `[{"data_category":"user.name"}]`, noPolicy},
		{"GET", "/dsr/policy/nope/rule/r/target", "", noPolicy},
		{"GET", "/dsr/policy/nope/rule/r/target/t", "", noPolicy},
		{"DELETE", "/dsr/policy/nope/rule/r/target/t", "", noPolicy},
		{"DELETE", "/dsr/policy/nope/webhook/pre_execution/a", "", noPolicy},
		{"PATCH", "/dsr/policy/nope/webhook/post_execution/a", `{}`, noPolicy},
		{"GET", "/dsr/policy/nope/webhook/post_execution/a", "", noPolicy},
		{"GET", "/dsr/policy/nope", "", noPolicy},
	} {
		body := any(c.body)
		if c.body == "" {
			body = nil
		}
		b.call(c.method, c.path, body).wantDetail(t, http.StatusNotFound, c.detail)
	}
	b.call("DELETE", "/dsr/policy/q/rule/r/target/t", nil).want(t, http.StatusNotFound)
	b.call("GET", "/dsr/policy/p/rule/r/target/t", nil).want(t, http.StatusOK)
}

// TestBodiesOfWebhooks: what does not fit is said in the words of the contract.
func TestBodiesOfWebhooks(t *testing.T) {
	t.Parallel()
	b := withHooks(t)
	b.call("PUT", pre, []any{item("c1", "one_way", "A", "")}).want(t, http.StatusOK)
	b.call("PUT", "/dsr/webhook/pre_approval", `[{"name":"Ask","connection_config_key":"c1"}]`).want(t, http.StatusOK)
	const badKey = "Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. Value provided: a b"
	for _, c := range []struct{ method, path, body, kind, loc, msg string }{
		{"PATCH", pre + "/a", `{"direction":"both"}`, "enum", `["body","direction"]`, "Input should be 'one_way' or 'two_way'"},
		{"PATCH", pre + "/a", `{"connection_config_key":"a b"}`, "value_error", `["body","connection_config_key"]`, badKey},
		{"PATCH", pre + "/a", `{"connection_config":{}}`, "extra_forbidden", `["body","connection_config"]`, "Extra inputs are not permitted"},
		{"PATCH", pre + "/a", `[`, "json_invalid", `["body",1]`, "JSON decode error"},
		{"PATCH", "/dsr/webhook/pre_approval/ask", `{"direction":"one_way"}`, "extra_forbidden", `["body","direction"]`, "Extra inputs are not permitted"},
		{"PATCH", "/dsr/webhook/pre_approval/ask", `{"connection_config_key":"a b"}`, "value_error", `["body","connection_config_key"]`, badKey},
		{"PUT", "/dsr/webhook/pre_approval", `{"x":1}`, "missing", `["body","items"]`, "Field required"},
		{"PATCH", "/dsr/policy", `[{"name":"X","execution_timeframe":"soon"}]`, "int_parsing", `["body",0,"execution_timeframe"]`, "Input should be a valid integer, unable to parse string as an integer"},
	} {
		b.call(c.method, c.path, c.body).wantProblem(t, c.kind, c.loc, c.msg)
	}
	for method, path := range map[string]string{"PUT": pre, "PATCH": "/dsr/policy"} {
		b.call(method, path, nil).wantProblem(t, "missing", `["body"]`, "Field required")
	}
	b.call("PATCH", "/dsr/webhook/pre_approval/ask", `{"connection_config_key":"db"}`).wantDetail(t, http.StatusUnprocessableEntity,
		"Webhooks can only use HTTPS connections: connection db has the type postgres.")
	// What is unknown in an item of a list is ignored, and so is its order.
	b.call("PUT", pre, `[{"name":"A","key":"a","direction":"one_way","connection_config_key":"c1","order":7,"extra":true}]`).want(t, http.StatusOK)
	if diff := cmp.Diff([]any{"a"}, b.order(pre)); diff != "" {
		t.Error(diff)
	}
	b.call("PUT", "/dsr/webhook/pre_approval", `[]`).wantJSON(t, http.StatusOK, `[]`)
	b.call("GET", "/dsr/webhook/pre_approval", nil).wantJSON(t, http.StatusOK, `{"items":[],"total":0,"page":1,"size":50,"pages":0}`)
}

// TestBearers: who may call, by what stands in the header.
func TestBearers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.call("POST", "/oauth/client", `{"scopes":["policy:read"]}`).want(t, http.StatusOK)
	id := made.field("client_id").(string)
	own := b.login(id, made.field("client_secret").(string))
	now := time.Now()
	issue := func(a token.Access) string {
		t.Helper()
		bearer, err := token.IssueAccess(b.ring, a)
		if err != nil {
			t.Fatal(err)
		}
		return bearer
	}
	const forbidden, needed = "Not Authorized for this action", "Not Authorized for this action. Required scope(s): [policy:read]"
	for name, c := range map[string]struct {
		header string
		status int
		detail string
	}{
		"no scheme":        {own, http.StatusUnauthorized, "Failed to authenticate"},
		"another scheme":   {"Basic " + own, http.StatusUnauthorized, "Failed to authenticate"},
		"in any case":      {"bEaReR " + own, http.StatusOK, ""},
		"expired":          {"Bearer " + issue(token.Access{ClientID: id, Scopes: []string{"policy:read"}, IssuedAt: now.Add(-2 * time.Hour), ExpiresAt: now.Add(-time.Hour)}), http.StatusForbidden, forbidden},
		"no such client":   {"Bearer " + issue(token.Access{ClientID: "nobody", Scopes: []string{"policy:read"}, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}), http.StatusForbidden, forbidden},
		"more than it has": {"Bearer " + issue(token.Access{ClientID: id, Scopes: []string{"policy:read", "policy:delete"}, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}), http.StatusForbidden, needed},
		"a role that it has not": {
			"Bearer " + issue(token.Access{ClientID: id, Roles: []string{"owner"}, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}), http.StatusForbidden, needed,
		},
	} {
		got := b.do("GET", "/api/v1/dsr/policy", "", "", nil, "Authorization", c.header)
		if got.status != c.status || c.detail != "" && got.field("detail") != c.detail {
			t.Errorf("%s: %s", name, got)
		}
		if challenge := got.header.Get("WWW-Authenticate"); (challenge == "Bearer") != (got.status == http.StatusUnauthorized) {
			t.Errorf("%s: the challenge is %q", name, challenge)
		}
	}
	// Deleted, a client is nobody at once.
	b.call("DELETE", "/oauth/client/"+id, nil).want(t, http.StatusOK)
	b.callAs(own, "GET", "/dsr/policy", nil).wantDetail(t, http.StatusForbidden, forbidden)

	for _, name := range []string{"First", "Second"} {
		b.call("POST", "/oauth/client", `{"name":"`+name+`"}`).want(t, http.StatusOK)
	}
	if diff := cmp.Diff([]any{"Second", "First"}, names(b.call("GET", "/oauth/client", nil), "name")); diff != "" {
		t.Error("newest first", diff)
	}
}

// TestClientCertificate: a certificate and its key are kept together and never
// shown.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.call("PATCH", "/connection", `[{"name":"C","key":"c","connection_type":"https","access":"read"}]`).want(t, http.StatusOK)
	certificate, key := clientCertificate(t)
	secrets := map[string]any{"url": "https://example.com", "authorization": "a", "client_certificate": certificate, "client_key": key}
	b.call("PUT", "/connection/c/secret", secrets).want(t, http.StatusOK)
	const masked = "**********"
	shown := b.call("GET", "/connection/c", nil).field("secrets")
	if diff := cmp.Diff(map[string]any{
		"url": "https://example.com", "authorization": masked, "headers": nil, "client_certificate": masked, "client_key": masked,
	}, shown); diff != "" {
		t.Error(diff)
	}
	_, another := clientCertificate(t)
	for _, part := range []map[string]any{{"client_key": another}, {"client_key": nil}} {
		b.call("PATCH", "/connection/c/secret", part).wantProblem(t, "value_error", `["body","client_certificate"]`,
			"Value error, client_certificate and client_key must be a certificate and its key, both in PEM")
	}
	b.call("PATCH", "/connection/c/secret", map[string]any{"client_certificate": nil, "client_key": nil}).want(t, http.StatusOK)
	if shown := b.call("GET", "/connection/c", nil).body; strings.Contains(shown, "client_key") {
		t.Error("what was taken away is still there:", shown)
	}
}

func clientCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}
