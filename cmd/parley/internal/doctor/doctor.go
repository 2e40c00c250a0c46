// Package doctor looks at a deployment from outside and says, check by check,
// what is in order, what is wrong, and what to do about it.
//
// It changes nothing and reads nothing of a person: the services by /ready and
// /metrics, NATS as the user operator, who can read no message, and the
// databases by the table of migrations alone. Keys are compared by their
// fingerprints, which each service shows.
//
// A check that cannot be made is not in order either: it says what was missing.
// What was not asked for (no address, no database) is told as skipped.
package doctor

import (
	"context"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
)

// State is how a check ended.
type State string

// The states.
const (
	OK      State = "ok"
	Wrong   State = "wrong"
	Skipped State = "skipped"
)

// Check is one line of the report.
type Check struct {
	// Name is what was looked at, the same in every run.
	Name  string `json:"check"`
	State State  `json:"state"`
	// Says is what was found.
	Says string `json:"says"`
	// Do is what to do about it; "" for what is in order.
	Do string `json:"do,omitempty"`
}

// Report is all checks, in the order in which they were made.
type Report struct {
	OK     bool    `json:"ok"`
	Checks []Check `json:"checks"`
}

// Service is where a service answers. An all-in-one is one, under its origin.
type Service struct{ Name, URL string }

// Database is the database of a service.
type Database struct {
	Service, URL string
	// Latest is the newest migration of this version.
	Latest int64
}

// Patient is what is looked at.
type Patient struct {
	Services  []Service
	Databases []Database
	// NATS connects as a user; nil does not look at NATS.
	NATS func(user string) (*nats.Conn, error)
	// Users are those whose permissions are compared with the table.
	Users []string
	// HTTP is how services are asked; nil is a client with a time-out.
	HTTP *http.Client
	// Clock may be nil.
	Clock func() time.Time
}

const (
	askWithin = 5 * time.Second
	// maxSkew is by how much clocks may differ. Tokens and deadlines are meant in
	// seconds, and the date of HTTP has whole ones.
	maxSkew = 5 * time.Second
)

// Examine makes all checks.
func Examine(ctx context.Context, p Patient) Report {
	if p.HTTP == nil {
		p.HTTP = &http.Client{Timeout: askWithin}
	}
	if p.Clock == nil {
		p.Clock = time.Now
	}
	e := &examination{patient: p}
	e.services(ctx)
	e.nats(ctx)
	e.databases(ctx)
	e.report.OK = true
	for _, c := range e.report.Checks {
		if c.State == Wrong {
			e.report.OK = false
		}
	}
	return e.report
}

type examination struct {
	patient Patient
	report  Report
}

func (e *examination) ok(name, says string) {
	e.report.Checks = append(e.report.Checks, Check{Name: name, State: OK, Says: says})
}

func (e *examination) wrong(name, says, do string) {
	e.report.Checks = append(e.report.Checks, Check{Name: name, State: Wrong, Says: says, Do: do})
}

func (e *examination) skipped(name, says, do string) {
	e.report.Checks = append(e.report.Checks, Check{Name: name, State: Skipped, Says: says, Do: do})
}

// skew compares a clock with ours: it was read between two moments.
func (e *examination) skew(name string, theirs, before, after time.Time) {
	var off time.Duration
	switch {
	case theirs.Before(before.Truncate(time.Second)): // a date of HTTP has no fractions
		off = before.Sub(theirs)
	case theirs.After(after):
		off = theirs.Sub(after)
	}
	if off > maxSkew {
		e.wrong(name, "its clock is "+off.Round(time.Second).String()+" off ours", "Synchronize the clocks (NTP): tokens, halts and deadlines are counted by them.")
		return
	}
	e.ok(name, "its clock agrees with ours")
}
