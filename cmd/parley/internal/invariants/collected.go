package invariants

import (
	"time"

	"github.com/parley-dsr/parley/internal/record"
)

// Fact is one of the stream of facts about requests.
type Fact struct {
	// Name is the type without what all types have: request.created.
	Name, ID, RequestID string
	At                  time.Time
	// Number is the sequence of the orchestrator's facts; 0 for others.
	Number   uint64
	Status   record.Status
	Reason   string
	CallID   string
	ResendOf string
	// Staged says that the answer gave an identity.
	Staged bool
	// Until is the end of the halt, of webhook.halted.
	Until time.Time
}

// Call is one that a receiver got, as often as it got it.
type Call struct {
	WebhookID string
	RequestID string
	Direction string
	At        time.Time
	// Status is that of the answer; 0 where there was none.
	Status int
	// Halt says that the answer halted the request.
	Halt bool
	// Identity is what the call said of the person.
	Identity map[string]string
	// Derived is what the answer said of the person.
	Derived map[string]string
}

// Promise is something that a caller was told, and that must be kept.
type Promise struct {
	RequestID string
	What      Word
	// CallID is the call that was resumed.
	CallID string
}

// Word is what a caller was told.
type Word string

// What callers are told.
const (
	Created  Word = "created"
	Approved Word = "approved"
	Denied   Word = "denied"
	Canceled Word = "canceled"
	Resumed  Word = "resumed"
	Retried  Word = "retried"
)

// Fault is something that was broken for a while.
type Fault struct {
	// What was done: kill, stop, cut, full.
	What string
	// Target is the service, or the server.
	Target string
	// To is when it was mended and everybody ready again.
	From, To time.Time
}

// Targets of faults that are no service.
const (
	NATS     = "nats"
	Postgres = "postgres"
	Receiver = "receiver"
)

// Found is a value that stands where it must not.
type Found struct{ Value, Place string }

// Collected is all that is known of a round that is over.
type Collected struct {
	// Facts are in stream order.
	Facts   []Fact
	Records map[string]record.Record
	// Shown is the status in the list of requests, Stored that in the database.
	Shown, Stored map[string]record.Status
	// Calls are in the order of arrival.
	Calls    []Call
	Promises []Promise
	// Submitted is what is known of a person, by request; Resumed what was
	// derived with a resume, by call, whether or not it was heard that the
	// resume was taken.
	Submitted, Resumed map[string]map[string]string
	Faults             []Fault
	// Work is what is left in the stream of work, Unread what consumers have
	// not handled, Halts the calls of the halts that are kept.
	Work, Unread, Halts []string
	// Personal is what was found of persons outside of the vault.
	Personal []Found
	// MayFail are the reasons for which a request may have ended in error.
	MayFail []string
	// Slack is how late a call may arrive that was on its way when the request
	// ended.
	Slack time.Duration
}

// Violation is a rule that was broken.
type Violation struct {
	Rule      string
	RequestID string
	Text      string
}

// String is the violation in one line.
func (v Violation) String() string { return v.Rule + ": " + v.RequestID + " " + v.Text }
