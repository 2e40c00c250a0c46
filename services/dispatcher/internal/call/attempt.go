package call

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/tracing"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher/internal/authorization"
	"github.com/parley-dsr/parley/services/dispatcher/internal/egress"
	"github.com/parley-dsr/parley/services/dispatcher/internal/reply"
)

// result is what came of an attempt.
type result struct {
	// attempts is how many were made, this one included if it was.
	attempts   int
	outcome    string
	status     int
	took       time.Duration
	retryAfter *time.Duration
	text       string // what went wrong, "" for nothing
	answer     reply.Answer
	// tokenEnds is when a halt of this attempt ends.
	tokenEnds time.Time
}

// notMade is the result of a call that is not made, because of the outcome.
func notMade(call work.Call, outcome string) result {
	return result{attempts: call.Attempt - 1 - call.Missed, outcome: outcome, text: describe(outcome, 0)}
}

// attempt makes the call and reads the answer. Its error is that of a context
// that has ended: nothing is known of the call then.
func (c *Caller) attempt(ctx context.Context, call work.Call, p prepared) (result, error) {
	began := c.Clock()
	within, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	answer, used, err := c.post(within, call, p, "")
	if err == nil && answer.Status == http.StatusUnauthorized && p.oauth != nil {
		answer, _, err = c.post(within, call, p, used)
	}
	if ctx.Err() != nil {
		return result{}, fmt.Errorf("call: interrupted: %w", context.Cause(ctx))
	}
	made := result{
		attempts: call.Attempt - call.Missed, status: answer.Status, took: c.Clock().Sub(began),
		retryAfter: egress.RetryAfter(answer.Header, c.Clock()), tokenEnds: p.tokenEnds,
		outcome: egress.Outcome(answer, err),
	}
	if errors.Is(err, authorization.ErrToken) {
		made.outcome = events.OutcomeToken
	}
	if made.outcome == events.OutcomeOK && answers(call) {
		made.answer, err = reply.Parse(answer.Body)
		if err != nil {
			made.outcome, made.text = events.OutcomeInvalid, err.Error()
		}
	}
	if made.outcome != events.OutcomeOK && made.text == "" {
		made.text = describe(made.outcome, made.status)
	}
	return made, nil
}

// post makes the call once, with another OAuth token than the one that was
// refused, if one was. It returns the token that it used.
func (c *Caller) post(ctx context.Context, call work.Call, p prepared, refused string) (answer egress.Answer, used string, err error) {
	ctx, span := c.calling(ctx, call)
	defer func() { called(span, answer, err) }()
	header, err := c.Headers.For(ctx, p.connectionID, p.secrets, p.oauth, refused)
	if err != nil {
		return egress.Answer{}, "", err
	}
	maps.Copy(header, p.header)
	if trace := tracing.Parent(ctx); trace != "" {
		header.Set("Traceparent", trace)
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", "parley/"+c.Version)
	}
	answer, err = c.Receivers.Post(ctx, egress.Request{
		URL: p.secrets.URL, Header: header, Body: p.body, Certificate: p.certificate, WantAnswer: answers(call),
	})
	return answer, authorization.TokenIn(header), err
}

// answers says whether the body of an answer matters. A pre-approval is
// answered by its reply.
func answers(call work.Call) bool {
	return call.Phase != record.PreApproval && call.Webhook.Direction == record.TwoWay
}
