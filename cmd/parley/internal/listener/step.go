package listener

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
)

// Step is what the listener does with one call. The zero value answers
// {"halt": false}.
type Step struct {
	// Status is that of the answer; 0 is 200. Any other than 2xx goes without a
	// body, unless there is one.
	Status int `json:"status"`
	// Halt and Derive are the answer of a two_way webhook.
	Halt   bool           `json:"halt"`
	Derive map[string]any `json:"derive"`
	// Body is sent as it is in place of the two.
	Body json.RawMessage `json:"body"`
	// Delay is the time before the answer.
	Delay Duration `json:"delay"`
	// ResumeAfter is the time between the answer to a halted call and the
	// resume, which carries ResumeDerive; 0 leaves the resume to others.
	ResumeAfter  Duration       `json:"resume_after"`
	ResumeDerive map[string]any `json:"resume_derive"`
	// Reply answers a pre-approval call: Eligible, NotEligible or "" for none.
	Reply string `json:"reply"`
}

// Replies to a pre-approval call.
const (
	Eligible    = "eligible"
	NotEligible = "not-eligible"
)

// Duration reads from JSON as people write one: "10s".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < 0 {
		return fmt.Errorf("%q is not a duration such as 10s", text)
	}
	*d = Duration(parsed)
	return nil
}

// Validate says what cannot be done.
func (s Step) Validate() error {
	switch {
	case s.Status != 0 && (s.Status < 200 || s.Status > 599):
		return errors.New("status is a number from 200 to 599")
	case s.Reply != "" && s.Reply != Eligible && s.Reply != NotEligible:
		return errors.New("reply is eligible or not-eligible")
	case s.ResumeAfter > 0 && !s.Halt:
		return errors.New("nothing can be resumed that is not halted: resume_after needs halt")
	case s.ResumeDerive != nil && s.ResumeAfter == 0:
		return errors.New("resume_derive needs resume_after")
	}
	return nil
}

// answer is the step as the receiver plays it, without the delay.
func (s Step) answer() receiver.Answer {
	status := s.Status
	if status == 0 {
		status = http.StatusOK
	}
	switch {
	case s.Body != nil:
		return receiver.JSON(status, s.Body)
	case status >= http.StatusMultipleChoices:
		return receiver.Status(status)
	case s.Derive != nil:
		return receiver.JSON(status, map[string]any{"halt": s.Halt, "derived_identity": s.Derive})
	}
	return receiver.JSON(status, map[string]any{"halt": s.Halt})
}

// Identity reads "email=a@example.com" and its like. What is not a standard
// field is a custom identity, with its name as the label.
func Identity(pairs []string) (map[string]any, error) {
	if len(pairs) == 0 {
		return nil, nil //nolint:nilnil // no identity
	}
	identity := map[string]any{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" || value == "" {
			return nil, fmt.Errorf("%q is not name=value", pair)
		}
		if slices.Contains(standardFields(), name) {
			identity[name] = value
		} else {
			identity[name] = map[string]string{"label": name, "value": value}
		}
	}
	return identity, nil
}

func standardFields() []string {
	return []string{"email", "phone_number", "external_id", "ga_client_id", "ljt_readerID", "fides_user_device_id"}
}
