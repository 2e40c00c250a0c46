package edge_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/edge"
)

const (
	unauthenticated = `{"detail":"Failed to authenticate"}`
	notAuthorized   = `{"detail":"Not Authorized for this action"}`
)

// Each row fails in several ways; the answer is that of the first check.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *edge.Config) {
		c.ReplyToken = func(*http.Request, string, string) error { return edge.Forbidden("") }
	})
	b.clients["reader"] = catalog.Client{ID: "reader", Scopes: []string{"webhook:read"}}
	reader := b.access("reader", []string{"webhook:read"}, nil)
	rootToken := b.access(root, nil, []string{edge.RoleOwner})
	large := "[" + strings.Repeat(" ", 5000) + "]"
	const (
		missingScopes = `{"detail":"Not Authorized for this action. Required scope(s): [webhook:create_or_update, webhook:read]"}`
		noBody        = `{"detail":[{"type":"missing","loc":["query","dry"],"msg":"Field required"},{"type":"missing","loc":["body"],"msg":"Field required"}]}`
	)
	for name, c := range map[string]struct {
		method, target, body, authorization string
		status                              int
		want                                string
	}{
		"unknown path, bad JSON":     {"GET", "/api/v1/nothing", "{", "", 404, `{"detail":"Item not found"}`},
		"unknown path, other method": {"POST", "/api/v1/nothing", "{", "", 405, `{"detail":"Method Not Allowed"}`},
		"known path, other method":   {"DELETE", "/api/v1/thing", "", "", 405, `{"detail":"Method Not Allowed"}`},
		"GET of what has no GET":     {"GET", "/api/v1/form", "", "", 404, `{"detail":"Item not found"}`},
		"too large, no token":        {"PUT", "/api/v1/thing", large, "", 413, `{"detail":"Request body must not be larger than 4096 bytes"}`},
		"bad JSON, no token":         {"PUT", "/api/v1/thing", `[{"a":}]`, "", 422, `{"detail":[{"type":"json_invalid","loc":["body",6],"msg":"JSON decode error"}]}`},
		"bad JSON, wrong scope":      {"PUT", "/api/v1/thing", `[`, reader, 422, `{"detail":[{"type":"json_invalid","loc":["body",1],"msg":"JSON decode error"}]}`},
		"more than one value":        {"PUT", "/api/v1/thing", `[] []`, "", 422, `{"detail":[{"type":"json_invalid","loc":["body",4],"msg":"JSON decode error"}]}`},
		"blank body":                 {"PUT", "/api/v1/thing", ` `, "", 422, `{"detail":[{"type":"json_invalid","loc":["body",1],"msg":"JSON decode error"}]}`},
		"not text":                   {"PUT", "/api/v1/thing", "[\"\xff\"]", "", 400, `{"detail":"There was an error parsing the body"}`},
		"no token, no body":          {"PUT", "/api/v1/thing", "", "", 401, unauthenticated},
		"no token, bad body":         {"PUT", "/api/v1/thing", `{"direction":1}`, "", 401, unauthenticated},
		"other scheme":               {"PUT", "/api/v1/thing", "", "Basic cm9vdDpyb290", 401, unauthenticated},
		"empty token":                {"PUT", "/api/v1/thing", "", "Bearer ", 403, notAuthorized},
		"garbage token":              {"PUT", "/api/v1/thing", "", "Bearer invalid", 403, notAuthorized},
		"wrong scope, no body":       {"PUT", "/api/v1/thing", "", reader, 403, missingScopes},
		"good token, no body":        {"PUT", "/api/v1/thing", "", rootToken, 422, noBody},
		"good token, null body":      {"PUT", "/api/v1/thing", "null", rootToken, 422, noBody},
		"reply token missing":        {"POST", "/api/v1/privacy-request/pri_1/resume", "", "", 401, unauthenticated},
		"reply token refused":        {"POST", "/api/v1/privacy-request/pri_1/pre-approve/eligible", "", rootToken, 403, notAuthorized},
		"path and body":              {"PATCH", "/api/v1/thing/a.b", `{"x":1}`, "", 422, `{"detail":[{"type":"value_error","loc":["path","thing_key"],"msg":"Value error, FidesKeys must only contain alphanumeric characters, '_' or '-'. Value provided: a.b"},{"type":"extra_forbidden","loc":["body","x"],"msg":"Extra inputs are not permitted"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := []string{}
			if c.authorization != "" {
				r = []string{"Authorization", c.authorization}
			}
			w := setupSharing(t, b).send(c.method, c.target, c.body, r...)
			wantRefusal(t, w, c.status, c.want)
			if challenge := w.Header().Get("WWW-Authenticate"); (challenge == "Bearer") != (c.status == 401) {
				t.Errorf("WWW-Authenticate: %s", challenge)
			}
			if w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("content type %s", w.Header().Get("Content-Type"))
			}
		})
	}
}

// setupSharing gives a subtest the edge of its parent.
func setupSharing(t *testing.T, b *bundle) *bundle {
	shared := *b
	shared.t = t
	return &shared
}

func TestMethods(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.send(http.MethodDelete, "/api/v1/thing", "")
	if allow := w.Header().Get("Allow"); allow != "GET, HEAD, POST, PUT" {
		t.Errorf("Allow: %s", allow)
	}
	w = b.send(http.MethodOptions, "/thing/k1", "")
	if allow := w.Header().Get("Allow"); w.Code != http.StatusNoContent || allow != "GET, HEAD, PATCH, OPTIONS" {
		t.Errorf("OPTIONS: %d, %s", w.Code, allow)
	}
	wantRefusal(t, b.send(http.MethodOptions, "/nothing", ""), 405, `{"detail":"Method Not Allowed"}`)
	w = b.send(http.MethodHead, "/thing/k1", "")
	if w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d, %s", w.Code, w.Body)
	}
	if w = b.send(http.MethodHead, "/nothing", ""); w.Code != http.StatusNotFound {
		t.Errorf("HEAD of nothing: %d", w.Code)
	}
}

func TestPlainTextWinsOverParameter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// getSpecial wants a token, getThing does not.
	wantRefusal(t, b.send("GET", "/api/v1/thing/special", ""), 401, unauthenticated)
	if s := b.reached("PATCH", "/api/v1/thing/special", `{"text":"a"}`); s.Path != "/api/v1/thing/special" {
		t.Errorf("PATCH: %s", s.Path)
	}
}

func TestHandlerSeesCanonicalPaths(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for target, want := range map[string]string{
		"/thing/k1": "/api/v1/thing/k1", "/v1/thing/k1/": "/api/v1/thing/k1", "/api/v1/thing/k%31": "/api/v1/thing/k%31",
	} {
		if s := b.reached("GET", target, ""); s.Path != want {
			t.Errorf("%s: %s", target, s.Path)
		}
	}
	for _, target := range []string{"/api/v1/thing/", "/api/v1/thing//", "/api/v1//thing/k1", "/api/v1/thing/k1//", "/api/v1/thing/k1/x"} {
		if w := b.send("GET", target, ""); w.Code == http.StatusOK {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	w := setup(t).send("GET", "/openapi.json", "")
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), `{"`) || !strings.Contains(w.Body.String(), "putThings") {
		t.Errorf("%d %.100s", w.Code, w.Body)
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	var ended []int
	b := setup(t, func(c *edge.Config) {
		c.Admit = func(_ *http.Request, operation string) (func(int), error) {
			if operation == "createThing" {
				return nil, edge.TooMany(1500*time.Millisecond, "Too many requests")
			}
			return func(status int) { ended = append(ended, status) }, nil
		}
	})
	w := b.send("POST", "/thing", "{")
	wantRefusal(t, w, 429, `{"detail":"Too many requests"}`)
	if after := w.Header().Get("Retry-After"); after != "2" {
		t.Errorf("Retry-After: %s", after)
	}
	b.send("GET", "/thing/k1", "")
	b.send("GET", "/thing", "")
	if len(ended) != 2 || ended[0] != 200 || ended[1] != 401 {
		t.Errorf("ended: %v", ended)
	}
}
