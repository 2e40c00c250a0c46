// Package reply reads what a receiver answers to a two_way call (contract §10).
//
// An answer says whether to halt and which identities were derived. An empty
// one (an empty object, null, or any other empty JSON value) says nothing, and
// the request goes on; anything else must be an object with a usable halt. The
// package is pure, and the text of its errors is made of fixed words and of
// the names of known fields: an answer may hold personal data anywhere, also
// in its keys, and an error goes into events and logs.
package reply

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/parley-dsr/parley/internal/identity"
)

// Answer is what a receiver said.
type Answer struct {
	Halt    bool
	Derived identity.Identity
}

// Error says what is wrong with an answer, without repeating any of it.
type Error struct{ text string }

func (e *Error) Error() string { return e.text }

// Texts of errors.
const (
	notJSON       = "the answer is not JSON"
	notObject     = "the answer is not a JSON object"
	haltMissing   = "halt: Field required"
	haltNull      = "halt: Input should be a valid boolean"
	haltUnclear   = "halt: Input should be a valid boolean, unable to interpret input"
	derivedObject = "derived_identity: Input should be an object"
	derivedLarge  = "derived_identity: Input should be no larger than 64 KiB"
)

// maxDerived is how large a derived identity may be, as JSON: what is sealed of
// it has to fit into a message, and so have the names of its fields. A resume
// may bring as much.
const maxDerived = 64 << 10

// Parse reads the body of an answer. Its errors are of type *Error.
func Parse(body []byte) (Answer, error) {
	value, err := decode(body)
	if err != nil {
		return Answer{}, &Error{notJSON}
	}
	if empty(value) {
		return Answer{}, nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		return Answer{}, &Error{notObject}
	}
	var problems []string
	halt, problem := readHalt(object)
	if problem != "" {
		problems = append(problems, problem)
	}
	derived, more := readDerived(object["derived_identity"])
	problems = append(problems, more...)
	if len(problems) > 0 {
		return Answer{}, &Error{strings.Join(problems, "; ")}
	}
	return Answer{Halt: halt, Derived: derived}, nil
}

// decode reads one JSON value and nothing after it. A byte order mark is
// passed over, since some receivers send one.
func decode(body []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return value, nil
}

func empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case json.Number:
		f, err := strconv.ParseFloat(v.String(), 64)
		return err == nil && f == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// readHalt takes what the existing system takes for a boolean.
func readHalt(object map[string]any) (halt bool, problem string) {
	value, there := object["halt"]
	if !there {
		return false, haltMissing
	}
	switch v := value.(type) {
	case nil:
		return false, haltNull
	case bool:
		return v, ""
	case json.Number:
		switch f, err := strconv.ParseFloat(v.String(), 64); {
		case err == nil && f == 1:
			return true, ""
		case err == nil && f == 0:
			return false, ""
		}
	case string:
		switch strings.ToLower(v) {
		case "1", "true", "t", "yes", "y", "on":
			return true, ""
		case "0", "false", "f", "no", "n", "off":
			return false, ""
		}
	}
	return false, haltUnclear
}

func readDerived(value any) (identity.Identity, []string) {
	if value == nil {
		return identity.Identity{}, nil
	}
	if _, ok := value.(map[string]any); !ok {
		return identity.Identity{}, []string{derivedObject}
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return identity.Identity{}, []string{derivedObject}
	}
	if len(raw) > maxDerived {
		return identity.Identity{}, []string{derivedLarge}
	}
	derived, problems := identity.Parse(raw, "derived_identity")
	var texts []string
	seen := map[string]bool{}
	for _, problem := range problems {
		text := describe(problem.Loc)
		if !seen[text] {
			seen[text] = true
			texts = append(texts, text)
		}
	}
	return derived, texts
}

// describe gives the text for a problem with the identity at the place. The
// names of custom identities are the receiver's and are not repeated.
func describe(loc []any) string {
	for _, part := range loc {
		switch part {
		case "email":
			return "derived_identity.email: value is not a valid email address"
		case "phone_number":
			return "derived_identity.phone_number: Phone number must be formatted in E.164 format, i.e. '+15558675309'."
		case "fides_user_device_id":
			return "derived_identity.fides_user_device_id: Input should be a valid UUID"
		case "ga_client_id", "ljt_readerID", "external_id":
			return "derived_identity." + part.(string) + ": Input should be a valid string"
		}
	}
	return `derived_identity: a custom identity must be an instance of LabeledIdentity (e.g. {"label": "Field label", "value": "123"})`
}
