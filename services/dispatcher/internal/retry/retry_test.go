package retry

import (
	"testing"
	"time"

	"github.com/parley-dsr/parley/pkg/events"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	policy := Policy{MaxAttempts: 6, Backoff: 5 * time.Second, MaxBackoff: time.Hour, Jitter: 0.2}
	now := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	after := func(d time.Duration) *time.Duration { return &d }
	again := func(d time.Duration) Decision { return Decision{Verdict: Again, At: now.Add(d)} }
	final := Decision{Verdict: Final}

	tests := []struct {
		name    string
		attempt Attempt
		jitter  float64
		want    Decision
	}{
		{"success", Attempt{Number: 1, Outcome: events.OutcomeOK, Status: 200}, 0, Decision{Verdict: Done}},
		{"success at the last attempt", Attempt{Number: 6, Outcome: events.OutcomeOK, Status: 204}, 0, Decision{Verdict: Done}},
		{"500", Attempt{Number: 1, Outcome: events.OutcomeStatus, Status: 500}, 0, again(5 * time.Second)},
		{"503", Attempt{Number: 2, Outcome: events.OutcomeStatus, Status: 503}, 0, again(10 * time.Second)},
		{"third", Attempt{Number: 3, Outcome: events.OutcomeStatus, Status: 503}, 0, again(20 * time.Second)},
		{"408", Attempt{Number: 1, Outcome: events.OutcomeStatus, Status: 408}, 0, again(5 * time.Second)},
		{"425", Attempt{Number: 1, Outcome: events.OutcomeStatus, Status: 425}, 0, again(5 * time.Second)},
		{"429", Attempt{Number: 1, Outcome: events.OutcomeStatus, Status: 429}, 0, again(5 * time.Second)},
		{"400 is final", Attempt{Number: 1, Outcome: events.OutcomeStatus, Status: 400}, 0, final},
		{"401 is final", Attempt{Number: 1, Outcome: events.OutcomeStatus, Status: 401}, 0, final},
		{"404 is final", Attempt{Number: 1, Outcome: events.OutcomeStatus, Status: 404}, 0, final},
		{"410 is final", Attempt{Number: 1, Outcome: events.OutcomeStatus, Status: 410}, 0, final},
		{"refused", Attempt{Number: 1, Outcome: events.OutcomeRefused}, 0, again(5 * time.Second)},
		{"reset", Attempt{Number: 1, Outcome: events.OutcomeReset}, 0, again(5 * time.Second)},
		{"reset while reading a 200", Attempt{Number: 1, Outcome: events.OutcomeReset, Status: 200}, 0, again(5 * time.Second)},
		{"dns", Attempt{Number: 1, Outcome: events.OutcomeDNS}, 0, again(5 * time.Second)},
		{"tls", Attempt{Number: 1, Outcome: events.OutcomeTLS}, 0, again(5 * time.Second)},
		{"timeout", Attempt{Number: 1, Outcome: events.OutcomeTimeout}, 0, again(5 * time.Second)},
		{"token", Attempt{Number: 1, Outcome: events.OutcomeToken}, 0, again(5 * time.Second)},
		{"redirect is final", Attempt{Number: 1, Outcome: events.OutcomeRedirect, Status: 302}, 0, final},
		{"forbidden is final", Attempt{Number: 1, Outcome: events.OutcomeForbidden}, 0, final},
		{"too large is final", Attempt{Number: 1, Outcome: events.OutcomeTooLarge, Status: 200}, 0, final},
		{"invalid is final", Attempt{Number: 1, Outcome: events.OutcomeInvalid, Status: 200}, 0, final},
		{"unconfigured is final", Attempt{Number: 1, Outcome: events.OutcomeUnconfigured}, 0, final},
		{"unknown is final", Attempt{Number: 1, Outcome: "?"}, 0, final},
		{"unreadable", Attempt{Number: 1, Outcome: events.OutcomeUnreadable}, 0, again(5 * time.Second)},
		{"unreadable, often", Attempt{Number: 40, Outcome: events.OutcomeUnreadable}, 1, again(10 * time.Minute)},
		{"unreadable, until the deadline", Attempt{Number: 40, Outcome: events.OutcomeUnreadable, Deadline: now.Add(10 * time.Minute)}, 1, final},
		{"last attempt", Attempt{Number: 6, Outcome: events.OutcomeStatus, Status: 500}, 0, final},
		{"jitter up", Attempt{Number: 1, Outcome: events.OutcomeTimeout}, 1, again(6 * time.Second)},
		{"jitter down", Attempt{Number: 1, Outcome: events.OutcomeTimeout}, -1, again(4 * time.Second)},
		{"jitter out of range", Attempt{Number: 1, Outcome: events.OutcomeTimeout}, 7, again(6 * time.Second)},
		{"retry-after wins", Attempt{Number: 1, Outcome: events.OutcomeStatus, Status: 429, RetryAfter: after(90 * time.Second)}, 1, again(90 * time.Second)},
		{"retry-after below the back-off wins", Attempt{Number: 3, Outcome: events.OutcomeStatus, Status: 503, RetryAfter: after(time.Second)}, 0, again(time.Second)},
		{"retry-after is capped", Attempt{Number: 1, Outcome: events.OutcomeStatus, Status: 503, RetryAfter: after(100 * time.Hour)}, 0, again(time.Hour)},
		{"retry-after in the past", Attempt{Number: 1, Outcome: events.OutcomeStatus, Status: 503, RetryAfter: after(-time.Hour)}, 0, again(5 * time.Second)},
		{"retry-after at once", Attempt{Number: 3, Outcome: events.OutcomeStatus, Status: 429, RetryAfter: after(0)}, 0, again(20 * time.Second)},
		{"retry-after does not revive", Attempt{Number: 1, Outcome: events.OutcomeStatus, Status: 404, RetryAfter: after(time.Second)}, 0, final},
		{"before the deadline", Attempt{Number: 1, Outcome: events.OutcomeTimeout, Deadline: now.Add(6 * time.Second)}, 0, again(5 * time.Second)},
		{"at the deadline", Attempt{Number: 1, Outcome: events.OutcomeTimeout, Deadline: now.Add(5 * time.Second)}, 0, final},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.attempt.EndedAt = now
			if got := policy.Decide(test.attempt, test.jitter); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestDelayIsCapped(t *testing.T) {
	t.Parallel()
	policy := Policy{MaxAttempts: 1000, Backoff: 5 * time.Second, MaxBackoff: time.Hour, Jitter: 0.2}
	for n := 1; n < 1000; n++ {
		d := policy.delay(Attempt{Number: n}, 1)
		if d <= 0 || d > time.Hour {
			t.Fatalf("attempt %d waits %s", n, d)
		}
	}
}

func TestDown(t *testing.T) {
	t.Parallel()
	down := map[string]bool{
		events.OutcomeRefused: true, events.OutcomeReset: true, events.OutcomeDNS: true, events.OutcomeTLS: true,
		events.OutcomeTimeout: true, events.OutcomeToken: true,
		events.OutcomeOK: false, events.OutcomeRedirect: false, events.OutcomeTooLarge: false, events.OutcomeForbidden: false,
		events.OutcomeInvalid: false, events.OutcomeDisabled: false, events.OutcomeUnconfigured: false,
		events.OutcomeIdentityGone: false, events.OutcomeDeadline: false, events.OutcomePoison: false,
	}
	for outcome, want := range down {
		if Down(outcome, 0) != want {
			t.Errorf("%s: %v", outcome, !want)
		}
	}
	for status, want := range map[int]bool{400: false, 401: false, 404: false, 408: false, 425: false, 429: false, 500: true, 502: true, 503: true, 599: true} {
		if Down(events.OutcomeStatus, status) != want {
			t.Errorf("%d: %v", status, !want)
		}
	}
}
