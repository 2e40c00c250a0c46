package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

var (
	// ErrNoAnswer says that nobody answers at the address.
	ErrNoAnswer = errors.New("Parley does not answer") //nolint:staticcheck // a name
	// ErrNotParley says that something else answers there.
	ErrNotParley = errors.New("this is not Parley's answer; does the address name its REST edge?")
)

// StatusError is an answer with another status than 2xx.
type StatusError struct {
	Method, Path string
	Status       int
	Body         string
}

func (e *StatusError) Error() string {
	path, _, _ := strings.Cut(e.Path, "?")
	return fmt.Sprintf("%s %s answered %d: %s", e.Method, path, e.Status, e.Said())
}

// Said is the detail of the answer where it is a text, else the beginning of
// the body.
func (e *StatusError) Said() string {
	const most = 300
	var answer struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal([]byte(e.Body), &answer) == nil && answer.Detail != "" {
		return answer.Detail
	}
	if len(e.Body) > most {
		return e.Body[:most] + "…"
	}
	return e.Body
}

// cause is what went wrong without the address, which is said already.
func cause(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// Passes says whether an error may be gone when one asks again.
func Passes(err error) bool {
	var refused *StatusError
	if errors.As(err, &refused) {
		return refused.Status == http.StatusServiceUnavailable || refused.Status == http.StatusBadGateway || refused.Status == http.StatusGatewayTimeout
	}
	return errors.Is(err, ErrNoAnswer)
}
