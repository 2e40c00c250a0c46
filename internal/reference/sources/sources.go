// Package sources reads the OpenAPI documents of the services where they stand
// in the repository. Services do not use it: it is for the generator of the
// merged document, and for the test that compares.
package sources

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/parley-dsr/parley/internal/reference/merge"
)

const description = `Webhooks for privacy requests.

Paths are also served under ` + "`/v1`" + ` and without a prefix, with one trailing slash or none, and in the other
spellings that the documentation of compatible systems uses. Errors have the form ` + "`{\"detail\": ...}`" + `: a text,
or for a request that does not fit its schema a list of ` + "`{type, loc, msg}`" + `.

The ` + "`reply-to`" + ` headers of a call name their path without ` + "`/api/v1`" + `. A reply carries the
` + "`reply-to-token`" + ` of the call as its bearer token, not an access token.`

// Merged is the document of everything that answers under one origin. root is
// the folder of the repository.
func Merged(root string) ([]byte, error) {
	var documents []merge.Document
	for _, s := range []struct{ folder, name string }{
		{"config", "Config"}, {"orchestrator", "Orchestrator"}, {"callback", "Callback"},
	} {
		text, err := os.ReadFile(filepath.Join(root, "services", s.folder, "api", "openapi.yaml")) //nolint:gosec // of the repository
		if err != nil {
			return nil, fmt.Errorf("sources: %w", err)
		}
		documents = append(documents, merge.Document{Service: s.name, Text: text})
	}
	return merge.Documents(map[string]any{
		"title": "Parley", "version": "1.0.0", "description": description,
		"license": map[string]any{"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
	}, documents)
}
