package edge

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/parley-dsr/parley/internal/identity"
)

// Problem is one entry of a 422's list (contract §0.3).
type Problem = identity.Problem

// Texts that clients of the existing system know.
const (
	textUnauthenticated = "Failed to authenticate"
	textForbidden       = "Not Authorized for this action"
	textNotFound        = "Item not found"
	textMethod          = "Method Not Allowed"
)

// Error is an answer that says no. Detail is a text or a list of Problem.
type Error struct {
	Status int
	Detail any
	Header http.Header
	cause  error
}

// Error gives the status and, where it is a text, the detail.
func (e *Error) Error() string {
	if text, ok := e.Detail.(string); ok {
		return fmt.Sprintf("edge: %d: %s", e.Status, text)
	}
	return fmt.Sprintf("edge: %d", e.Status)
}

// Unwrap gives the cause of an internal error.
func (e *Error) Unwrap() error { return e.cause }

func refuse(status int, format string, args ...any) *Error {
	return &Error{Status: status, Detail: fmt.Sprintf(format, args...)}
}

// NotFound is 404 with a text.
func NotFound(format string, args ...any) *Error {
	return refuse(http.StatusNotFound, format, args...)
}

// BadRequest is 400 with a text.
func BadRequest(format string, args ...any) *Error {
	return refuse(http.StatusBadRequest, format, args...)
}

// Conflict is 409 with a text.
func Conflict(format string, args ...any) *Error {
	return refuse(http.StatusConflict, format, args...)
}

// PreconditionFailed is 412 with a text: the If-Match of the request names
// another version.
func PreconditionFailed(format string, args ...any) *Error {
	return refuse(http.StatusPreconditionFailed, format, args...)
}

// Forbidden is 403 with a text, "Not Authorized for this action" where it is
// empty.
func Forbidden(text string) *Error {
	if text == "" {
		text = textForbidden
	}
	return &Error{Status: http.StatusForbidden, Detail: text}
}

// Unauthenticated is 401 with a text, "Failed to authenticate" where it is
// empty.
func Unauthenticated(text string) *Error {
	if text == "" {
		text = textUnauthenticated
	}
	return &Error{
		Status: http.StatusUnauthorized, Detail: text,
		Header: http.Header{"Www-Authenticate": {"Bearer"}},
	}
}

// Unprocessable is 422 with a list of problems.
func Unprocessable(problems []Problem) *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Detail: problems}
}

// UnprocessableText is 422 with a text.
func UnprocessableText(format string, args ...any) *Error {
	return refuse(http.StatusUnprocessableEntity, format, args...)
}

// TooMany is 429: the caller may come back after a while.
func TooMany(retryAfter time.Duration, format string, args ...any) *Error {
	return later(refuse(http.StatusTooManyRequests, format, args...), retryAfter)
}

// Unavailable is 503: something that we need is missing for now.
func Unavailable(retryAfter time.Duration, format string, args ...any) *Error {
	return later(refuse(http.StatusServiceUnavailable, format, args...), retryAfter)
}

// Internal is 500. The cause is logged and not shown.
func Internal(cause error) *Error {
	return &Error{Status: http.StatusInternalServerError, cause: cause}
}

func later(e *Error, after time.Duration) *Error {
	seconds := max(1, int(math.Ceil(after.Seconds())))
	e.Header = http.Header{"Retry-After": {strconv.Itoa(seconds)}}
	return e
}

// WriteError answers with an error. What is not an *Error is the server's own
// failure: the answer says no more than that, the log says what can be said
// without repeating values.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Status == http.StatusInternalServerError {
		logFailure(r, err)
		writeInternal(w)
		return
	}
	for name, values := range refusal.Header {
		w.Header()[name] = values
	}
	writeJSON(w, refusal.Status, map[string]any{"detail": refusal.Detail})
}

func writeInternal(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = w.Write([]byte("Internal Server Error"))
}

// writeJSON writes texts as they are: '<' and '>' stand in texts of the
// contract.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // the client has gone, or will see a cut answer
}

func logFailure(r *http.Request, err error) {
	s := stateFrom(r.Context())
	if s.logger == nil {
		return
	}
	if r.Context().Err() != nil {
		s.logger.InfoContext(r.Context(), "the client went away", s.attributes()...)
		return
	}
	s.logger.ErrorContext(r.Context(), "request failed", append(s.attributes(), slog.String("error", redact(err)))...)
}
