package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
)

// TestResume resumes requests as receivers do, in time, too late, at the wrong
// address and with the wrong token, and compares every answer with the contract
// (§6.8, §11), to the byte. All of it goes through HTTP and the real services.
func TestResume(t *testing.T) {
	t.Parallel()
	h := setup(t, nil)
	h.startAll(serviceNames...)
	ring, err := keyring.Parse(h.keys)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := rest.Open(t.Context(), rest.Settings{URL: h.origin, ClientID: rootID, ClientSecret: h.secret})
	if err != nil {
		t.Fatal(err)
	}
	r := &resuming{house: h, admin: admin, ring: ring}
	r.configure()
	changed, other := r.halt("changed"), r.halt("other")
	r.refuse(changed, other)
	r.afterAChange(changed)
	r.afterTheEnd(other)
	r.afterExpiry()
}

type resuming struct {
	*house
	admin *rest.Client
	ring  *keyring.Ring
}

const (
	resumePolicy   = "resume_policy"
	resumeWebhooks = "/api/v1/dsr/policy/" + resumePolicy + "/webhook/pre_execution"
)

// configure makes a policy with three webhooks, each with a path of its own:
// the first halts.
func (r *resuming) configure() {
	r.t.Helper()
	type object = map[string]any
	var connections, webhooks []object
	for _, key := range []string{"resume_first", "resume_second", "resume_third"} {
		connections = append(connections, object{"name": key, "key": key, "connection_type": "https", "access": "read"})
		webhooks = append(webhooks, object{"connection_config_key": key, "direction": "two_way", "key": key, "name": key})
	}
	r.do(http.MethodPatch, "/api/v1/connection", connections, nil)
	for _, c := range connections {
		path := "/" + c["key"].(string)
		r.do(http.MethodPut, "/api/v1/connection"+path+"/secret", object{"url": r.receiver.URL(path), "authorization": "Bearer x"}, nil)
	}
	r.do(http.MethodPatch, "/api/v1/dsr/policy", []object{{"name": resumePolicy, "key": resumePolicy, "action_type": "erasure"}}, nil)
	r.do(http.MethodPut, resumeWebhooks, webhooks, nil)
	r.receiver.Script("/resume_first", receiver.Halt())
}

func (r *resuming) do(method, path string, body, into any) {
	r.t.Helper()
	var answer json.RawMessage
	if into == nil {
		into = &answer
	}
	if err := r.admin.Do(r.t.Context(), method, path, body, into); err != nil {
		r.t.Fatal(err)
	}
}

// halt submits a request and waits until its first webhook has halted it.
func (r *resuming) halt(person string) receiver.Call {
	r.t.Helper()
	call := r.submit(person)
	r.await(idOf(call), record.Paused)
	return call
}

// submit submits a request and gives its first call.
func (r *resuming) submit(person string) receiver.Call {
	r.t.Helper()
	body := []map[string]any{{"policy_key": resumePolicy, "identity": map[string]any{"email": person + "@example.com"}}}
	r.do(http.MethodPost, "/api/v1/privacy-request", body, nil)
	return r.next("/resume_first")
}

func (r *resuming) next(path string) receiver.Call {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	call, err := r.receiver.Next(ctx, path)
	if err != nil {
		r.t.Fatal(err)
	}
	return call
}

func idOf(c receiver.Call) string {
	return strings.TrimSuffix(strings.TrimPrefix(c.ReplyTo(), "/privacy-request/"), "/resume")
}

func (r *resuming) await(id string, want record.Status) {
	r.t.Helper()
	eventually(r.t, func() (bool, string) {
		var page struct {
			Items []struct {
				Status record.Status `json:"status"`
			} `json:"items"`
		}
		if err := r.admin.Do(r.t.Context(), http.MethodGet, "/api/v1/privacy-request?request_id="+id, nil, &page); err != nil {
			return false, err.Error()
		}
		return len(page.Items) == 1 && page.Items[0].Status == want, fmt.Sprintf("%s is %+v, want %s", id, page.Items, want)
	})
}

// post posts as a receiver does; authorization is the whole header, "" for none.
func (r *resuming) post(path, authorization, body string) (int, string, http.Header) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.origin+path, bytes.NewBufferString(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(text)), answer.Header
}

// want posts and compares the answer with a status and a text or, where it
// begins with a bracket, a whole detail.
func (r *resuming) want(what, path, authorization, body string, status int, detail string) {
	r.t.Helper()
	if !strings.HasPrefix(detail, "[") {
		detail = `"` + detail + `"`
	}
	got, text, _ := r.post(path, authorization, body)
	if want := `{"detail":` + detail + `}`; got != status || text != want {
		r.t.Errorf("%s: got %d %s, want %d %s", what, got, text, status, want)
	}
}

// issue makes a token as the dispatcher does, for what no receiver could have.
func (r *resuming) issue(id, call, webhook string, change func(*token.Reply)) string {
	r.t.Helper()
	now := time.Now()
	reply := token.Reply{
		WebhookID: webhook, RequestID: id, CallID: call, ID: "made",
		Scopes: []string{token.ScopeResume}, IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	if change != nil {
		change(&reply)
	}
	sealed, err := token.IssueReply(r.ring, reply)
	if err != nil {
		r.t.Fatal(err)
	}
	return "Bearer " + sealed
}

const (
	textForbidden     = "Not Authorized for this action"
	missingBody       = `[{"type":"missing","loc":["body"],"msg":"Field required"}]`
	resumeUnknown     = "pri_00000000-0000-4000-8000-000000000000"
	textUnknown       = "No privacy request found with id '" + resumeUnknown + "'."
	textUnauthorized  = "Failed to authenticate"
	textTokenExpired  = "Webhook token expired"
	malformed         = `{"derived_identity":`
	malformedProblems = `[{"type":"json_invalid","loc":["body",20],"msg":"JSON decode error"}]`
)

// refuse sends what must not get in while two requests are halted, and every
// spelling of the address with a token that does not fit it.
func (r *resuming) refuse(c, other receiver.Call) {
	id, good := idOf(c), "Bearer "+c.Token()
	path := "/api/v1" + c.ReplyTo()
	call, err := record.ParseCallID(c.WebhookID())
	if err != nil {
		r.t.Fatal(err)
	}
	later := call
	later.Order++
	with := func(change func(*token.Reply)) string { return r.issue(id, c.WebhookID(), call.Target, change) }
	unknownCall := record.WebhookCall(resumeUnknown, 1, record.Pre, call.Target, 1).String()
	for _, row := range []struct {
		what, path, authorization, body string
		status                          int
		detail                          string
	}{
		{"malformed, without a token", path, "", malformed, 422, malformedProblems},
		{"malformed, with the token", path, good, malformed, 422, malformedProblems},
		{"no token", path, "", `[]`, 401, textUnauthorized},
		{"another scheme", path, "Basic " + c.Token(), `[]`, 401, textUnauthorized},
		{"an empty bearer", path, "Bearer ", `[]`, 403, textForbidden},
		{"garbage", path, "Bearer garbage", `[]`, 403, textForbidden},
		{"half a token", path, good[:len(good)/2], `[]`, 403, textForbidden},
		{"an access token", path, "Bearer " + r.admin.Token(), `[]`, 403, textForbidden},
		{"the token of another request", path, "Bearer " + other.Token(), `[]`, 403, textForbidden},
		{"another request with this token", "/api/v1" + other.ReplyTo(), good, `[]`, 403, textForbidden},
		{"an unknown request with this token", "/api/v1/privacy-request/" + resumeUnknown + "/resume", good, `[]`, 403, textForbidden},
		{"a pre-approval token", path, with(func(t *token.Reply) { t.Scopes = []string{token.ScopeReview} }), `[]`, 403, textForbidden},
		{"a token of a webhook after the execution", path, with(func(t *token.Reply) {
			t.CallID = record.WebhookCall(id, 1, record.Post, call.Target, 1).String()
		}), `[]`, 403, textForbidden},
		{"a token from the future", path, with(func(t *token.Reply) { t.IssuedAt = t.IssuedAt.Add(30 * time.Minute) }), `[]`, 403, textForbidden},
		{"an expired token", path, with(func(t *token.Reply) { t.ExpiresAt = t.IssuedAt.Add(-time.Second) }), `[]`, 403, textTokenExpired},
		{"this token for a pre-approval reply", strings.Replace(path, "/resume", "/pre-approve/eligible", 1), good, ``, 403, textForbidden},
		{"no body", path, good, ``, 422, missingBody},
		{"null", path, good, `null`, 422, missingBody},
		{"a list", path, good, `[]`, 422, `[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from"}]`},
		{"a bad address", path, good, `{"derived_identity":{"email":"nobody"}}`, 422,
			`[{"type":"value_error","loc":["body","derived_identity","email"],"msg":"value is not a valid email address: An email address must have an @-sign."}]`},
		{"a long body", path, good, `{"x":"` + strings.Repeat("x", 64<<10) + `"}`, 413, "Request body must not be larger than 65536 bytes"},
		{"a request that there is not", "/api/v1/privacy-request/" + resumeUnknown + "/resume", r.issue(resumeUnknown, unknownCall, call.Target, nil), `{}`, 404, textUnknown},
		{"a call that is not waited for", path, with(func(t *token.Reply) { t.CallID = later.String() }), `{}`, 400,
			"Invalid resume request: privacy request '" + id + "' status = paused."},
	} {
		r.want(row.what, row.path, row.authorization, row.body, row.status, row.detail)
	}
	if _, _, header := r.post(path, "", `{}`); header.Get("WWW-Authenticate") != "Bearer" {
		r.t.Errorf("WWW-Authenticate: %q", header.Get("WWW-Authenticate"))
	}
	for _, prefix := range []string{"", "/v1", "/api/v1"} {
		for _, noun := range []string{"privacy-request", "privacy_request"} {
			for _, end := range []string{"", "/"} {
				spelling := prefix + "/" + noun + "/" + id + "/resume" + end
				r.want(spelling, spelling, "Bearer "+other.Token(), `{}`, 403, textForbidden)
			}
		}
	}
	if status, text, _ := r.post(path, r.admin.Token(), `{}`); status != 401 {
		r.t.Errorf("a token without a scheme: %d %s", status, text)
	}
	r.await(id, record.Paused)
	r.await(idOf(other), record.Paused)
}

// afterAChange deletes the webhook that has halted a request, renames one of
// those that follow and puts them into another order. The request goes on with
// the list that it has begun with; the next one has the new list.
func (r *resuming) afterAChange(c receiver.Call) {
	r.do(http.MethodDelete, resumeWebhooks+"/resume_first", nil, nil)
	r.do(http.MethodPatch, resumeWebhooks+"/resume_third", map[string]any{"name": "Renamed", "order": 0}, nil)
	id := idOf(c)
	status, text, _ := r.post("/v1/privacy_request/"+id+"/resume/", "Bearer "+c.Token(), `{"derived_identity":null,"unknown":{"a":[1]}}`)
	var shown struct {
		ID             string        `json:"id"`
		Status         record.Status `json:"status"`
		ResumeEndpoint *string       `json:"resume_endpoint"`
	}
	if err := json.Unmarshal([]byte(text), &shown); status != 200 || err != nil || shown.ID != id || shown.Status != record.InProcessing || shown.ResumeEndpoint != nil {
		r.t.Errorf("the resume after the change: %d %s", status, text)
	}
	second, third := r.next("/resume_second"), r.next("/resume_third")
	r.await(id, record.Complete)
	if second.At.After(third.At) {
		r.t.Error("the request went on with the new order")
	}
	r.want("a second time", "/api/v1"+c.ReplyTo(), "Bearer "+c.Token(), `{}`, 400, "Invalid resume request: privacy request '"+id+"' status = complete.")

	body := []map[string]any{{"policy_key": resumePolicy, "identity": map[string]any{"email": "next@example.com"}}}
	r.do(http.MethodPost, "/api/v1/privacy-request", body, nil)
	third, second = r.next("/resume_third"), r.next("/resume_second")
	if third.At.After(second.At) {
		r.t.Error("the next request has the old order")
	}
	// From here on the first webhook is there again.
	r.do(http.MethodPut, resumeWebhooks, []map[string]any{
		{"connection_config_key": "resume_first", "direction": "two_way", "key": "resume_first", "name": "resume_first"},
		{"connection_config_key": "resume_second", "direction": "two_way", "key": "resume_second", "name": "resume_second"},
	}, nil)
}

// afterTheEnd resumes requests that were canceled, have failed or were hidden
// while they were halted.
func (r *resuming) afterTheEnd(other receiver.Call) {
	refused := func(c receiver.Call, status record.Status) string {
		return "Invalid resume request: privacy request '" + idOf(c) + "' status = " + string(status) + "."
	}
	resume := func(c receiver.Call, status int, detail string) {
		r.t.Helper()
		r.want("after the end", "/api/v1"+c.ReplyTo(), "Bearer "+c.Token(), `{"derived_identity":{"email":"late@example.com"}}`, status, detail)
	}
	r.do(http.MethodPatch, "/api/v1/privacy-request/administrate/cancel", map[string]any{"request_ids": []string{idOf(other)}}, nil)
	resume(other, 400, refused(other, record.Canceled))

	r.receiver.Script("/resume_second", receiver.Status(http.StatusBadRequest))
	failed := r.halt("failed")
	if status, text, _ := r.post(failed.ReplyTo(), "Bearer "+failed.Token(), `{}`); status != 200 {
		r.t.Fatalf("the resume was answered %d %s", status, text)
	}
	r.await(idOf(failed), record.Failed)
	resume(failed, 400, refused(failed, record.Failed))

	hidden := r.halt("hidden")
	r.do(http.MethodPost, "/api/v1/privacy-request/"+idOf(hidden)+"/soft-delete", nil, nil)
	resume(hidden, 422, "Privacy request with id "+idOf(hidden)+" has been deleted.")
}

// afterExpiry lets the time of a halt pass: the dispatcher, which makes tokens,
// is started anew with a short one.
func (r *resuming) afterExpiry() {
	r.services["dispatcher"].signal(syscall.SIGTERM)
	d := r.service("dispatcher", map[string]string{"PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT": "2s"})
	r.services["dispatcher"] = d
	d.start()
	d.awaitUp()
	d.awaitReady()
	c := r.submit("expired")
	id := idOf(c)
	r.await(id, record.Failed)
	r.want("after its time", "/api/v1"+c.ReplyTo(), "Bearer "+c.Token(), `{}`, 403, textTokenExpired)
	type entry struct {
		Group   string `json:"dataset_name"`
		Status  string `json:"status"`
		Message string `json:"message"`
	}
	expired := entry{Group: "Privacy request processing", Status: "error", Message: "Privacy request has expired. Please resubmit information."}
	eventually(r.t, func() (bool, string) {
		var page struct {
			Items []entry `json:"items"`
		}
		if err := r.admin.Do(r.t.Context(), http.MethodGet, "/api/v1/privacy-request/"+id+"/log", nil, &page); err != nil {
			return false, err.Error()
		}
		return slices.Contains(page.Items, expired), fmt.Sprintf("the log does not say that it has expired: %+v", page.Items)
	})
}
