package reference_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/reference"
	"github.com/parley-dsr/parley/internal/reference/sources"
)

func TestTheDocumentIsUpToDate(t *testing.T) {
	t.Parallel()
	fresh, err := sources.Merged("../..")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(fresh, reference.OpenAPI) {
		t.Error("openapi.json is stale: run go generate in internal/reference")
	}
}

func TestTheDocumentIsWhole(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(reference.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	tags := map[string]bool{}
	for _, tag := range doc.Tags {
		tags[tag.Name] = true
	}
	seen := map[string]bool{}
	services := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		services[edge.ServiceFor(path)] = true
		for method, o := range item.Operations() {
			if o.Security == nil || o.OperationID == "" || o.Summary == "" || seen[o.OperationID] {
				t.Errorf("%s %s: operation %q is incomplete, or not the only one of its name", method, path, o.OperationID)
			}
			seen[o.OperationID] = true
			if len(o.Tags) != 1 || !tags[o.Tags[0]] {
				t.Errorf("%s %s has the tags %v: the page would not show it", method, path, o.Tags)
			}
		}
	}
	if len(services) != 3 {
		t.Errorf("operations of %v", services)
	}
}

func get(t *testing.T, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	w := httptest.NewRecorder()
	reference.Handler(next).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return w
}

func TestThePageBringsAllItNeeds(t *testing.T) {
	t.Parallel()
	html := get(t, http.MethodGet, "/docs")
	links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(html.Body.String(), -1)
	if html.Code != http.StatusOK || len(links) < 3 {
		t.Fatalf("%d %s", html.Code, html.Body)
	}
	for _, link := range links {
		if got := get(t, http.MethodGet, link[1]); got.Code != http.StatusOK || got.Body.Len() == 0 {
			t.Errorf("%s: %d", link[1], got.Code)
		}
	}
	for _, path := range []string{"/docs", "/docs/docs.js", "/docs/docs.css"} {
		if strings.Contains(get(t, http.MethodGet, path).Body.String(), "://") {
			t.Errorf("%s fetches from elsewhere", path)
		}
	}
	if csp := html.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Error(csp)
	}
}

func TestOtherPathsAreHandedOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/openapi.json", http.StatusOK}, {http.MethodHead, "/docs/", http.StatusOK},
		{http.MethodPost, "/docs", http.StatusTeapot}, {http.MethodGet, "/docs/other", http.StatusTeapot},
		{http.MethodGet, "/api/v1/connection", http.StatusTeapot},
	} {
		if got := get(t, c.method, c.path); got.Code != c.status {
			t.Errorf("%s %s: %d", c.method, c.path, got.Code)
		}
	}
	var document map[string]any
	if err := json.Unmarshal(get(t, http.MethodGet, "/openapi.json").Body.Bytes(), &document); err != nil {
		t.Error(err)
	}
}
