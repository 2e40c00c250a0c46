package view

import (
	"time"

	"github.com/parley-dsr/parley/internal/record"
)

// Delivery is one call of a webhook with everything that was tried.
type Delivery struct {
	CallID        string    `json:"call_id"`
	WebhookKey    string    `json:"webhook_key"`
	WebhookName   string    `json:"webhook_name"`
	Phase         string    `json:"phase"`
	Direction     string    `json:"direction"`
	ConnectionKey string    `json:"connection_key"`
	Run           int       `json:"run"`
	ResendOf      *string   `json:"resend_of"`
	ResentAs      *string   `json:"resent_as"`
	Status        string    `json:"status"`
	RequestedAt   *string   `json:"requested_at"`
	NextAttemptAt *string   `json:"next_attempt_at"`
	DerivedFields []string  `json:"derived_fields"`
	Attempts      []Attempt `json:"attempts"`
}

// Attempt of a call.
type Attempt struct {
	Attempt    int     `json:"attempt"`
	At         *string `json:"at"`
	Outcome    string  `json:"outcome"`
	HTTPStatus *int    `json:"http_status"`
	DurationMS *int64  `json:"duration_ms"`
	Error      *string `json:"error"`
}

// CallFact is what was reported about a call.
type CallFact struct {
	Delivery // CallID to Run, and DerivedFields
	Verb     string
	At       time.Time
	Next     *time.Time
	Attempt  Attempt // zero where none was made
}

// Deliveries puts the facts of a request's calls, oldest first, together by
// call. The order of two facts of one moment does not matter: an end stays an
// end.
func Deliveries(facts []CallFact) []Delivery {
	calls := []Delivery{}
	place := map[string]int{}
	for _, f := range facts {
		i, ok := place[f.CallID]
		if !ok {
			i = len(calls)
			place[f.CallID] = i
			d := f.Delivery
			d.Status, d.DerivedFields, d.Attempts = "requested", []string{}, []Attempt{}
			calls = append(calls, d)
		}
		calls[i] = with(calls[i], f)
	}
	return calls
}

// Linked tells of calls that were sent again which one came in their place, as
// the record has it.
func Linked(calls []Delivery, undelivered []record.Undelivered) []Delivery {
	for _, u := range undelivered {
		if u.ResentAs == "" {
			continue
		}
		for i := range calls {
			switch calls[i].CallID {
			case u.CallID:
				calls[i].ResentAs = &u.ResentAs
			case u.ResentAs:
				calls[i].ResendOf = &u.CallID
			}
		}
	}
	return calls
}

func with(d Delivery, f CallFact) Delivery {
	switch f.Verb {
	case "requested":
		d.RequestedAt = Time(&f.At)
	case "attempted":
		if d.Status == "requested" || d.Status == "attempted" {
			d.Status, d.NextAttemptAt = "attempted", Time(f.Next)
		}
	default:
		d.Status, d.NextAttemptAt = f.Verb, nil
	}
	if len(f.DerivedFields) > 0 {
		d.DerivedFields = f.DerivedFields
	}
	if f.Attempt.Attempt > 0 {
		attempt := f.Attempt
		attempt.At = Time(&f.At)
		d.Attempts = append(d.Attempts, attempt)
	}
	return d
}
