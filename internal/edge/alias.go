package edge

import (
	"net/http"
	"strings"
)

// base is where the documented paths are.
const base = "/api/v1"

// Operational says whether a path belongs to the process and not to the API:
// no alias touches it.
func Operational(path string) bool {
	switch path {
	case "/health", "/ready", "/metrics", "/openapi.json", "/docs":
		return true
	}
	return false
}

// Canonical maps the spellings under which published documents name a path to
// the one that is served: the prefixes /api/v1, /v1 or none, one trailing slash
// or none, privacy_request, /policy/{key}/webhook without /dsr, pre-execution
// and post-execution, and PUT /connection/{key} for its secrets. They compose.
// A path that is canonical already stays as it is. Escapes in the path are kept.
func Canonical(method, path string) string {
	if Operational(path) || path == "/" || !strings.HasPrefix(path, "/") {
		return path
	}
	if strings.HasSuffix(path, "/") && !strings.HasSuffix(path, "//") {
		path = path[:len(path)-1]
	}
	rest, found := cutPrefix(path, base)
	if !found {
		rest, _ = cutPrefix(path, "/v1")
	}
	if rest == "" {
		return base
	}
	segments := strings.Split(rest[1:], "/")
	return base + "/" + strings.Join(respell(method, segments), "/")
}

// cutPrefix takes a prefix of whole segments away.
func cutPrefix(path, prefix string) (rest string, found bool) {
	rest, found = strings.CutPrefix(path, prefix)
	if !found || rest != "" && rest[0] != '/' {
		return path, false
	}
	return rest, true
}

func respell(method string, s []string) []string {
	if s[0] == "privacy_request" {
		s[0] = "privacy-request"
	}
	if len(s) >= 3 && s[0] == "policy" && s[2] == "webhook" {
		s = append([]string{"dsr"}, s...)
	}
	if len(s) >= 5 && s[0] == "dsr" && s[1] == "policy" && s[3] == "webhook" {
		switch s[4] {
		case "pre-execution":
			s[4] = "pre_execution"
		case "post-execution":
			s[4] = "post_execution"
		}
	}
	if method == http.MethodPut && len(s) == 2 && s[0] == "connection" && s[1] != "" {
		s = append(s, "secret")
	}
	return s
}
