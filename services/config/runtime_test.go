package config_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRuntimeSettings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	required := func() bool {
		entry, err := b.catalog().Settings(t.Context())
		if err != nil || entry.RequireManualRequestApproval == nil {
			t.Fatal(entry, err)
		}
		return *entry.RequireManualRequestApproval
	}
	if required() {
		t.Error("manual approval is required from the start")
	}
	b.call("GET", "/config", nil).wantJSON(t, http.StatusOK, `{"execution":{"require_manual_request_approval":false}}`)
	b.call("GET", "/config?api_set=true", nil).wantJSON(t, http.StatusOK, `{}`)
	b.call("PATCH", "/config", `{"execution":{"require_manual_request_approval":true,"unknown":1}}`).
		wantJSON(t, http.StatusOK, `{"execution":{"require_manual_request_approval":true}}`)
	if !required() {
		t.Error("the change was not published")
	}
	b.call("PATCH", "/config", `{"execution":{"memory_watchdog_enabled":false}}`).
		wantJSON(t, http.StatusOK, `{"execution":{"require_manual_request_approval":true,"memory_watchdog_enabled":false}}`)
	b.call("GET", "/config?api_set=true", nil).
		wantJSON(t, http.StatusOK, `{"execution":{"require_manual_request_approval":true,"memory_watchdog_enabled":false}}`)
	b.call("PATCH", "/config", `{}`).want(t, http.StatusUnprocessableEntity)
	b.call("PATCH", "/config", nil).want(t, http.StatusUnprocessableEntity)
	b.call("PATCH", "/config", `{"nonsense":{}}`).wantProblem(t, "extra_forbidden", `["body","nonsense"]`, "Extra inputs are not permitted")
	b.call("DELETE", "/config", nil).wantJSON(t, http.StatusOK, `{}`)
	if required() {
		t.Error("the deletion was not published")
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hook("c")
	b.call("PUT", "/dsr/policy/default_access_policy/webhook/pre_execution", []any{item("c", "one_way", "Hook", "")}).want(t, http.StatusOK)
	b.call("PUT", "/dsr/policy/default_access_policy/webhook/pre_execution", []any{item("nope", "one_way", "Other", "")}).want(t, http.StatusNotFound)
	trail := b.call("GET", "/config/audit?size=3", nil).want(t, http.StatusOK)
	if diff := cmp.Diff([]any{"replace", "set secrets", "create"}, names(trail, "action")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"root", "root", "root"}, names(trail, "client_id")); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(trail.body, `"resource":"connection","key":"c"}`) || strings.Contains(trail.body, "s3cret") {
		t.Error(trail.body)
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, operation := range []string{"putPreWebhooks", "createRequests", "resumePrivacyRequest"} {
		if document := b.get("/openapi.json").want(t, http.StatusOK); !strings.Contains(document.body, operation) {
			t.Errorf("the document of all edges lacks %s", operation)
		}
	}
	if page := b.get("/docs").want(t, http.StatusOK); !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
		t.Error(page.header)
	}
}
