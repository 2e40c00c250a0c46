package edge_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parley-dsr/parley/internal/edge"
)

// What the edge adds to a request: token, matching, validation, log, metrics.
func BenchmarkHandler(b *testing.B) {
	body := `[` + strings.Repeat(`{"name":"n","key":"k","direction":"one_way","identity":{"email":"a@example.com"}},`, 2) +
		`{"name":"n","direction":"two_way"}]`
	bundle := setupWith(b, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}), func(c *edge.Config) { c.Logger = nil })
	authorization := bundle.access(root, edge.AllScopes(), []string{edge.RoleOwner})
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPut, "/thing?dry=true", strings.NewReader(body))
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		bundle.handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}
