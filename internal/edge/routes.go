package edge

import (
	"net/http"
	"strings"
)

// The services that have a REST edge.
const (
	ServiceConfig       = "config"
	ServiceOrchestrator = "orchestrator"
	ServiceCallback     = "callback"
)

// ServiceFor says which service owns a path, canonical or alias: the one table
// for everything that puts the edges under one origin. Unknown paths of the API
// go to config, which refuses them as any edge would, and so does the reference
// of all edges, which config shows; other paths of the process itself have no
// service and give "".
func ServiceFor(path string) string {
	switch {
	case path == pathDocument, path == pathReference:
		return ServiceConfig
	case Operational(path):
		return ""
	}
	rest, _ := cutPrefix(Canonical(http.MethodGet, path), base)
	s := strings.Split(strings.TrimPrefix(rest, "/"), "/")
	switch {
	case s[0] == "halted":
		return ServiceCallback
	case s[0] != "privacy-request":
		return ServiceConfig
	case len(s) == 3 && s[2] == "resume":
		return ServiceCallback
	case len(s) >= 3 && s[2] == "pre-approve":
		return ServiceCallback
	default:
		return ServiceOrchestrator
	}
}
