package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/parley-dsr/parley/bench/internal/parts"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
)

// persons numbers the persons whose requests are submitted.
type persons struct{ n atomic.Int64 }

func (p *persons) next() string { return fmt.Sprintf("jane-%d@example.com", p.n.Add(1)) }

// create submits privacy requests of one policy, as a form on a web site does,
// and gives their ids. On a machine that is too busy an answer may be that a
// request is stored and not confirmed; it takes its course like any other.
func (h *house) create(ctx context.Context, policy string, n int) ([]string, error) {
	items := make([]object, n)
	for i := range items {
		items[i] = object{"policy_key": policy, "identity": object{"email": h.persons.next()}}
	}
	var answer struct {
		Succeeded []struct {
			ID string `json:"id"`
		} `json:"succeeded"`
		Failed []struct {
			Message string `json:"message"`
		} `json:"failed"`
	}
	err := h.ask(ctx, http.MethodPost, h.parts["orchestrator"].URL+"/api/v1/privacy-request", "", items, &answer)
	var refused *refusedError
	if errors.As(err, &refused) && refused.status == http.StatusServiceUnavailable {
		h.unconfirmed.Add(1)
		return requestIDs.FindAllString(refused.text, -1), nil
	}
	if err != nil {
		return nil, err
	}
	for _, one := range answer.Failed {
		if !strings.HasPrefix(one.Message, stored) {
			return nil, errors.New("a request was not created: " + one.Message)
		}
		h.unconfirmed.Add(1)
	}
	ids := make([]string, len(answer.Succeeded))
	for i, one := range answer.Succeeded {
		ids[i] = one.ID
	}
	return ids, nil
}

// stored begins what is said of a request that takes its course unconfirmed.
const stored = "The request is stored"

var requestIDs = regexp.MustCompile("pri_[0-9a-f-]+")

// resume sends the reply of the system that was called and has halted. One that
// is not confirmed is stored, too.
func (h *house) resume(ctx context.Context, callID string) error {
	c, err := record.ParseCallID(callID)
	if err != nil {
		return err
	}
	now := time.Now()
	reply, err := token.IssueReply(h.ring, token.Reply{
		WebhookID: c.Target, RequestID: c.RequestID, CallID: callID, ID: "bench",
		Scopes: []string{token.ScopeResume}, IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	})
	if err != nil {
		return err
	}
	url := h.parts["callback"].URL + "/api/v1/privacy-request/" + c.RequestID + "/resume"
	err = h.ask(ctx, http.MethodPost, url, reply, object{}, new(any))
	var refused *refusedError
	if errors.As(err, &refused) && refused.status == http.StatusServiceUnavailable {
		h.unconfirmed.Add(1)
		return nil
	}
	return err
}

// calls are those that the called system got since it was last asked, by
// request, each in its order.
func (h *house) calls(ctx context.Context) (map[string][]parts.Call, error) {
	var all []parts.Call
	if err := h.fetch(ctx, h.receiver, h.parts[partReceiver].URL+parts.PathCalls, &all); err != nil {
		return nil, err
	}
	byRequest := map[string][]parts.Call{}
	for _, one := range all {
		if id := requestOf(one); id != "" { // or else it is one of the floor's
			byRequest[id] = append(byRequest[id], one)
		}
	}
	return byRequest, nil
}

// requestOf is the request that a call is about.
func requestOf(c parts.Call) string {
	id, err := record.ParseCallID(c.ID)
	if err != nil {
		return ""
	}
	return id.RequestID
}
