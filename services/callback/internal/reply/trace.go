package reply

import (
	"context"
	"net/http"
	"regexp"
)

// traceKey is where the caller's trace stands in the context.
type traceKey struct{}

// WithTrace keeps the W3C traceparent of a reply, if it has a valid one, for
// the fact that is made of it: a receiver can follow what its reply has caused.
func WithTrace(next http.Handler) http.Handler {
	valid := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if trace := r.Header.Get("traceparent"); valid.MatchString(trace) {
			r = r.WithContext(context.WithValue(r.Context(), traceKey{}, trace))
		}
		next.ServeHTTP(w, r)
	})
}

func traceParent(ctx context.Context) string {
	trace, _ := ctx.Value(traceKey{}).(string)
	return trace
}
