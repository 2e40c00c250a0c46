package edge_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/parley-dsr/parley/internal/edge"
)

// Every prefix with every spelling, with and without a trailing slash.
func TestAliasesCompose(t *testing.T) {
	t.Parallel()
	spellings := []struct{ method, spelling, canonical string }{
		{"GET", "/connection", "/connection"},
		{"GET", "/connection/c1", "/connection/c1"},
		{"PUT", "/connection/c1", "/connection/c1/secret"},
		{"PUT", "/connection/c1/secret", "/connection/c1/secret"},
		{"PUT", "/connection/c1/oauth", "/connection/c1/oauth"},
		{"PATCH", "/connection", "/connection"},
		{"GET", "/dsr/policy", "/dsr/policy"},
		{"GET", "/dsr/policy/p1", "/dsr/policy/p1"},
		{"GET", "/dsr/policy/p%2F1/webhook/pre-execution", "/dsr/policy/p%2F1/webhook/pre_execution"},
		{"PATCH", "/dsr/webhook/pre_approval/w1", "/dsr/webhook/pre_approval/w1"},
		{"POST", "/privacy-request/pri_1/resume", "/privacy-request/pri_1/resume"},
		{"POST", "/privacy_request/pri_1/resume", "/privacy-request/pri_1/resume"},
		{"POST", "/privacy_request/pri_1/pre-approve/eligible", "/privacy-request/pri_1/pre-approve/eligible"},
		{"GET", "/privacy_request", "/privacy-request"},
		{"GET", "/privacy_requests", "/privacy_requests"},
		{"PUT", "/policy/p1", "/policy/p1"},
		{"GET", "/v2/connection", "/v2/connection"},
		{"GET", "/v1x", "/v1x"},
		{"GET", "/health/deep", "/health/deep"},
	}
	for _, policy := range []string{"/dsr/policy", "/policy"} {
		for written, canonical := range map[string]string{
			"pre_execution": "pre_execution", "pre-execution": "pre_execution",
			"post_execution": "post_execution", "post-execution": "post_execution",
		} {
			for _, rest := range []string{"", "/w1", "/pre-execution"} {
				spellings = append(spellings, struct{ method, spelling, canonical string }{
					"PUT", policy + "/p1/webhook/" + written + rest, "/dsr/policy/p1/webhook/" + canonical + rest,
				})
			}
		}
	}
	for _, s := range spellings {
		for _, prefix := range []string{"/api/v1", "/v1", ""} {
			for _, slash := range []string{"", "/"} {
				if prefix == "" && strings.HasPrefix(s.spelling, "/v1") && s.spelling != "/v1x" {
					continue
				}
				path := prefix + s.spelling + slash
				if got := edge.Canonical(s.method, path); got != "/api/v1"+s.canonical {
					t.Errorf("%s %s: %s", s.method, path, got)
				}
			}
		}
	}
}

func TestPathsOfTheProcessHaveNoAlias(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/health", "/ready", "/metrics", "/openapi.json", "/docs", "/", ""} {
		if got := edge.Canonical(http.MethodGet, path); got != path {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// Mapping twice is mapping once, and a canonical path stays what it is.
func FuzzCanonical(f *testing.F) {
	for _, path := range []string{
		"/api/v1/dsr/policy/p/webhook/pre_execution/w", "/v1/policy/p/webhook/pre-execution/", "/privacy_request/x/resume",
		"/connection/x", "/v1/v1", "//", "/v1//", "/api/v1", "/api/v1/", "/a%2Fb/", "no slash", "/v1/policy//webhook/x",
	} {
		for _, method := range []string{"GET", "PUT"} {
			f.Add(method, path)
		}
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		once := edge.Canonical(method, path)
		if twice := edge.Canonical(method, once); twice != once {
			t.Errorf("%q, %q, %q", path, once, twice)
		}
		if isCanonical(method, path) && once != path {
			t.Errorf("canonical %q became %q", path, once)
		}
	})
}

// isCanonical says, in other words than the code, that nothing about a path is
// an alias.
func isCanonical(method, path string) bool {
	if !strings.HasPrefix(path, "/api/v1/") || strings.HasSuffix(path, "/") {
		return false
	}
	rest := strings.TrimPrefix(path, "/api/v1/")
	switch {
	case strings.HasPrefix(rest, "policy/"), strings.HasPrefix(rest, "privacy_request"), strings.Contains(rest, "-execution"):
		return false
	case method == http.MethodPut && strings.HasPrefix(rest, "connection/"):
		return strings.Count(rest, "/") > 1
	}
	return true
}

func TestServiceFor(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/oauth/token": "config", "/oauth/client/c1/secret": "config", "/connection": "config", "/connection/c1": "config",
		"/dsr/policy": "config", "/policy/p1/webhook/pre-execution": "config", "/dsr/webhook/pre_approval": "config",
		"/config": "config", "/config/audit": "config", "/nothing": "config",
		"/privacy-request": "orchestrator", "/privacy-request/search": "orchestrator",
		"/privacy-request/authenticated": "orchestrator", "/privacy-request/pri_1/log": "orchestrator",
		"/privacy-request/administrate/approve": "orchestrator", "/privacy-request/bulk/retry": "orchestrator",
		"/privacy-request/pri_1/retry": "orchestrator", "/privacy-request/pri_1/resubmit": "orchestrator",
		"/privacy-request/pri_1/administrate/resume":        "orchestrator",
		"/privacy-request/pri_1/resume_from_requires_input": "orchestrator",
		"/privacy-request/pri_1/resume":                     "callback",
		"/privacy_request/pri_1/resume":                     "callback",
		"/privacy-request/pri_1/pre-approve/eligible":       "callback",
		"/privacy_request/pri_1/pre-approve/not-eligible":   "callback",
		"/halted": "callback",
	} {
		for _, prefix := range []string{"/api/v1", "/v1", ""} {
			for _, slash := range []string{"", "/"} {
				if got := edge.ServiceFor(prefix + path + slash); got != want {
					t.Errorf("%s: %s", prefix+path+slash, got)
				}
			}
		}
	}
	for _, path := range []string{"/health", "/ready", "/metrics"} {
		if got := edge.ServiceFor(path); got != "" {
			t.Errorf("%s: %s", path, got)
		}
	}
	for _, path := range []string{"", "/", "/api/v1", "/v1/"} {
		if got := edge.ServiceFor(path); got != "config" {
			t.Errorf("%q: %s", path, got)
		}
	}
}
