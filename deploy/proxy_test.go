package deploy_test

import (
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/parley-dsr/parley/internal/edge"
	callback "github.com/parley-dsr/parley/services/callback/api"
	config "github.com/parley-dsr/parley/services/config/api"
	orchestrator "github.com/parley-dsr/parley/services/orchestrator/api"
)

// route is a line of the map in the proxy's configuration: the first expression
// that matches decides.
type route struct {
	match   *regexp.Regexp
	service string
}

// routes reads the map as nginx does.
func routes(t *testing.T) (lines []route, otherwise string) {
	t.Helper()
	text := read(t, "helm/parley/files/parley.conf.template")
	_, text, found := strings.Cut(text, "map $uri $parley_service {")
	text, _, closed := strings.Cut(text, "\n}")
	if !found || !closed {
		t.Fatal("there is no map")
	}
	for line := range strings.Lines(text) {
		fields := strings.Fields(strings.TrimSuffix(strings.TrimSpace(line), ";"))
		switch {
		case len(fields) == 0:
		case len(fields) != 2:
			t.Fatalf("what is %q?", line)
		case fields[0] == "default":
			otherwise = fields[1]
		default:
			expression, ok := strings.CutPrefix(fields[0], "~")
			if !ok {
				t.Fatalf("%q is no expression", fields[0])
			}
			lines = append(lines, route{regexp.MustCompile(expression), fields[1]})
		}
	}
	return lines, otherwise
}

// spellings are the ways in which callers write a documented path.
func spellings(path string) []string {
	rest := strings.TrimPrefix(path, "/api/v1")
	var all []string
	for _, prefix := range []string{"/api/v1", "/v1", ""} {
		for _, end := range []string{"", "/"} {
			all = append(all, prefix+rest+end, strings.Replace(prefix+rest+end, "/privacy-request", "/privacy_request", 1))
		}
	}
	return all
}

// Every documented path, in every spelling, goes to the service that documents
// it, as the table in code says.
func TestProxyRoutes(t *testing.T) {
	t.Parallel()
	lines, otherwise := routes(t)
	goes := func(path string) string {
		for _, r := range lines {
			if r.match.MatchString(path) {
				return r.service
			}
		}
		return otherwise
	}
	parameter := regexp.MustCompile(`\{[^}]*\}`)
	documented := 0
	for service, spec := range map[string][]byte{"config": config.OpenAPI, "orchestrator": orchestrator.Spec, "callback": callback.Spec} {
		var document struct {
			Servers []struct{ URL string }
			Paths   map[string]any
		}
		if err := yaml.Unmarshal(spec, &document); err != nil {
			t.Fatal(err)
		}
		for path := range document.Paths {
			documented++
			for _, value := range []string{"pri_1", "resume", "pre-approve", "halted", "privacy-request"} {
				for _, written := range spellings("/api/v1" + strings.TrimPrefix(parameter.ReplaceAllString(path, value), "/api/v1")) {
					if want := edge.ServiceFor(written); goes(written) != want {
						t.Errorf("%s goes to %s, not to %s", written, goes(written), want)
					}
					if value == "pri_1" && goes(written) != service {
						t.Errorf("%s goes to %s, and is documented by %s", written, goes(written), service)
					}
				}
			}
		}
	}
	if documented < 20 {
		t.Errorf("%d paths", documented)
	}
	for _, path := range []string{
		"/health", "/ready", "/metrics", "/openapi.json", "/docs", "/", "/api/v1", "/api/v1/", "/nothing", "/api/v1/haltedx",
		"/privacy-requests", "/api/v1/privacy-request/x/resumes", "/api/v1/privacy-request/x/pre-approver/eligible",
		"/api/v1/privacy-request/x/resume/y", "/api/v2/privacy-request", "/health/", "/v1/health",
	} {
		want := edge.ServiceFor(path)
		if want == "" {
			want = "none"
		}
		if got := goes(path); got != want {
			t.Errorf("%s goes to %s, not to %s", path, got, want)
		}
	}
}
