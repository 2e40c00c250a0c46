// Package retry decides what follows an attempt of a call: nothing, another
// attempt at a certain time, or the end.
//
// It is pure: the moment, the jitter and everything known of the attempt come
// in, the decision goes out. Attempts that failed in passing (no connection, a
// timeout, an overloaded receiver, no OAuth token) are repeated with a delay
// that doubles; what another attempt cannot mend ends the call at once. A
// receiver that says when to come back (Retry-After) is believed, up to the
// longest delay; one that says now, or whose clock is behind, would use up all
// attempts in a moment, and is left alone as if it had said nothing. No attempt
// is planned past the deadline of a call.
package retry

import (
	"time"

	"github.com/parley-dsr/parley/pkg/events"
)

// Policy says how often and how long a call is tried.
type Policy struct {
	// MaxAttempts counts the first one.
	MaxAttempts int
	// Backoff is the delay after the first attempt; it doubles with each.
	Backoff time.Duration
	// MaxBackoff is the longest delay, whoever asks for it.
	MaxBackoff time.Duration
	// Jitter is the part of the delay by which it may differ either way:
	// 0.2 is ±20 %.
	Jitter float64
}

// Attempt is what is known of an attempt that has ended.
type Attempt struct {
	// Number is 1 for the first attempt. Of one that could not be made
	// (Missed), it is how often that has happened.
	Number int
	// Outcome is one of the Outcome constants of pkg/events.
	Outcome string
	// Status is the HTTP status, 0 where there was no answer.
	Status int
	// RetryAfter is what the receiver asked for, nil where it did not.
	RetryAfter *time.Duration
	// EndedAt is when the attempt ended.
	EndedAt time.Time
	// Deadline is the end of the call, zero where it has none.
	Deadline time.Time
}

// Verdict is what follows an attempt.
type Verdict int

// What may follow an attempt.
const (
	// Done: the call succeeded.
	Done Verdict = iota
	// Again: there is another attempt, at Decision.At.
	Again
	// Final: the call failed for good.
	Final
)

// Decision is a verdict and, for Again, the time of the next attempt.
type Decision struct {
	Verdict Verdict
	At      time.Time
}

// Decide says what follows the attempt. The jitter is a number from -1 to 1.
func (p Policy) Decide(a Attempt, jitter float64) Decision {
	if a.Outcome == events.OutcomeOK {
		return Decision{Verdict: Done}
	}
	delay := p.delay(a, jitter)
	switch {
	case Missed(a.Outcome):
		delay = min(delay, lookAgain)
	case !Passing(a.Outcome, a.Status), a.Number >= p.MaxAttempts:
		return Decision{Verdict: Final}
	}
	at := a.EndedAt.Add(delay)
	if !a.Deadline.IsZero() && !at.Before(a.Deadline) {
		return Decision{Verdict: Final}
	}
	return Decision{Verdict: Again, At: at}
}

// lookAgain is the longest delay after an attempt that was missed: who repairs
// what it lacked should not have to wait for long.
const lookAgain = 10 * time.Minute

// Missed says whether an attempt could not be made for a reason that is ours and
// may be mended, such as a key that a dispatcher does not have yet. It uses up
// no attempt, and only the deadline of the call ends the waiting.
func Missed(outcome string) bool { return outcome == events.OutcomeUnreadable }

// Statuses of receivers that may do better later, beside all of 500 and above.
const (
	requestTimeout  = 408
	tooEarly        = 425
	tooManyRequests = 429
	serverErrors    = 500
)

// Passing says whether a failure may be gone at another attempt.
func Passing(outcome string, status int) bool {
	switch outcome {
	case events.OutcomeRefused, events.OutcomeReset, events.OutcomeDNS,
		events.OutcomeTLS, events.OutcomeTimeout, events.OutcomeToken:
		return true
	case events.OutcomeStatus:
		switch status {
		case requestTimeout, tooEarly, tooManyRequests:
			return true
		}
		return status >= serverErrors
	}
	return false
}

// Down says whether a failure is the receiver's, or its token endpoint's,
// rather than the call's: there was no answer, or one of a server that fails.
// A receiver that refuses a call, also one that asks for patience, is there.
func Down(outcome string, status int) bool {
	switch outcome {
	case events.OutcomeRefused, events.OutcomeReset, events.OutcomeDNS,
		events.OutcomeTLS, events.OutcomeTimeout, events.OutcomeToken:
		return true
	case events.OutcomeStatus:
		return status >= serverErrors
	}
	return false
}

func (p Policy) delay(a Attempt, jitter float64) time.Duration {
	if a.RetryAfter != nil && *a.RetryAfter > 0 {
		return min(*a.RetryAfter, p.MaxBackoff)
	}
	delay := p.Backoff
	for range a.Number - 1 {
		if delay >= p.MaxBackoff {
			break
		}
		delay *= 2
	}
	delay += time.Duration(float64(delay) * p.Jitter * min(max(jitter, -1), 1))
	return min(delay, p.MaxBackoff)
}
