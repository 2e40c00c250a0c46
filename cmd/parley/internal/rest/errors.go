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

// Said is the detail of the answer, a text or a list of what is wrong with the
// fields, else the beginning of the body.
func (e *StatusError) Said() string {
	const most = 300
	var answer struct {
		Detail json.RawMessage `json:"detail"`
	}
	if json.Unmarshal([]byte(e.Body), &answer) == nil {
		var text string
		if json.Unmarshal(answer.Detail, &text) == nil && text != "" {
			return text
		}
		if text = wrongFields(answer.Detail); text != "" {
			return text
		}
	}
	if len(e.Body) > most {
		return e.Body[:most] + "…"
	}
	return e.Body
}

// wrongFields says of a list of details which field is wrong and how, "" where
// it is no such list.
func wrongFields(detail json.RawMessage) string {
	const most = 5
	var wrong []struct {
		Where   []any  `json:"loc"`
		Message string `json:"msg"`
	}
	if json.Unmarshal(detail, &wrong) != nil {
		return ""
	}
	var texts []string
	for _, w := range wrong[:min(len(wrong), most)] {
		if w.Message == "" {
			return ""
		}
		var field []string
		for _, part := range w.Where[min(len(w.Where), 1):] { // the first one is body, query or path
			field = append(field, fmt.Sprint(part))
		}
		if len(field) > 0 {
			w.Message = strings.Join(field, ".") + ": " + w.Message
		}
		texts = append(texts, w.Message)
	}
	if len(wrong) > most {
		texts = append(texts, fmt.Sprintf("and %d more", len(wrong)-most))
	}
	return strings.Join(texts, "; ")
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
