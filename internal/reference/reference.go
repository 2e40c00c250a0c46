// Package reference is what people read about the REST API: the OpenAPI
// document of all edges, which answer under one origin, and a page that shows
// it. Everything is embedded; the page fetches nothing from elsewhere.
//
// The document is made of those of the services by go generate and kept here,
// since services do not import each other. A test says when it is stale.
package reference

import (
	"embed"
	"net/http"

	"github.com/klauspost/compress/gzhttp"
)

//go:generate go run ./generate

// OpenAPI is the merged document, in JSON.
//
//go:embed openapi.json
var OpenAPI []byte

//go:embed page/docs.html page/docs.css page/docs.js
var page embed.FS

// Paths of what is served.
const (
	PathDocument = "/openapi.json"
	PathPage     = "/docs"
)

// file is something that is served as it is.
type file struct {
	contentType string
	text        []byte
}

// Handler serves the document and the page, and hands everything else on.
func Handler(next http.Handler) http.Handler {
	served := files()
	show := gzhttp.GzipHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { served[r.URL.Path].write(w) }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, there := served[r.URL.Path]; there && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			show.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// policy lets the page use what is served beside it, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (f file) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(f.text) // the client may be gone
}

func files() map[string]file {
	html := file{"text/html; charset=utf-8", read("docs.html")}
	return map[string]file{
		PathDocument:           {"application/json", OpenAPI},
		PathPage:               html,
		PathPage + "/":         html,
		PathPage + "/docs.css": {"text/css; charset=utf-8", read("docs.css")},
		PathPage + "/docs.js":  {"text/javascript; charset=utf-8", read("docs.js")},
	}
}

// read reads an embedded file, which cannot fail.
func read(name string) []byte {
	text, err := page.ReadFile("page/" + name)
	if err != nil {
		return []byte(err.Error())
	}
	return text
}
