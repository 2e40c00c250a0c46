//go:build faults

package rounds

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/invariants"
	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
)

const (
	// answerWithin is how long a client waits for one answer.
	answerWithin = 10 * time.Second
	// tryAgainAfter is how soon it asks again, and then twice as late each time.
	tryAgainAfter, tryAgainAtMost = 150 * time.Millisecond, 3 * time.Second
	// atOnce is how many persons submit at the same time. What is submitted
	// again, because it was not answered in time, is one more request: a
	// multitude that insists would keep a slow machine from ever catching up.
	atOnce = 24
)

// again asks until there is an answer that is none of a server in trouble. It
// gives the number of times that it asked.
func again(ctx context.Context, ask func(ctx context.Context) (int, error)) (status, asked int) {
	for wait := tryAgainAfter; ctx.Err() == nil; wait = min(2*wait, tryAgainAtMost) {
		one, cancel := context.WithTimeout(ctx, answerWithin)
		asked++
		status, err := ask(one)
		cancel()
		if err == nil && status < http.StatusInternalServerError {
			return status, asked
		}
		pause(ctx, wait)
	}
	return 0, asked
}

// send sends JSON and reads the answer where it is 200.
func (rd *round) send(ctx context.Context, method, path, token string, body, into any) (int, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, method, rd.house.origin+"/api/v1"+path, bytes.NewReader(encoded))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := rd.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK && into != nil {
		err = json.Unmarshal(text, into)
	}
	if resp.StatusCode >= http.StatusInternalServerError && resp.StatusCode != http.StatusServiceUnavailable && resp.StatusCode != http.StatusBadGateway {
		rd.note("%s %s was answered %d: %s", method, path, resp.StatusCode, text)
	}
	return resp.StatusCode, err
}

// bulk is the answer to an action on many requests.
type bulk struct {
	Succeeded []struct {
		ID string `json:"id"`
	} `json:"succeeded"`
	Failed []struct {
		Message string `json:"message"`
	} `json:"failed"`
}

// come has the requests come, one after the other, each submitted again until
// it is taken.
func (rd *round) come(ctx context.Context) {
	var people sync.WaitGroup
	defer people.Wait()
	began, places := time.Now(), make(chan struct{}, atOnce)
	for i, kind := range rd.plan.kinds {
		pause(ctx, time.Until(began.Add(comeWithin*time.Duration(i)/requests)))
		places <- struct{}{}
		people.Go(func() {
			defer func() { <-places }()
			rd.submit(ctx, i, kind)
		})
		if i == requests*2/3 {
			people.Go(func() { rd.askBefore(ctx) })
		}
	}
}

// submit is a person.
func (rd *round) submit(ctx context.Context, i int, kind string) {
	email := fmt.Sprintf("%s-%s-%d@example.com", canary, kind, i)
	body := []object{{
		"policy_key": kind, "identity": object{"email": email}, "external_id": fmt.Sprintf("%s-external-%d", canary, i),
		"custom_privacy_request_fields": object{"shop": object{"label": "Shop", "value": canary + "-custom"}},
	}}
	var taken bulk
	status, _ := again(ctx, func(ctx context.Context) (int, error) {
		return rd.send(ctx, http.MethodPost, "/privacy-request", "", body, &taken)
	})
	if status != http.StatusOK || len(taken.Succeeded) != 1 {
		rd.note("a submission was answered %d %+v", status, taken)
		return
	}
	id := taken.Succeeded[0].ID
	rd.know(rd.submitted, id, email)
	rd.promise(invariants.Promise{RequestID: id, What: invariants.Created})
	if kind == cancel && i%2 == 0 {
		rd.cancel(ctx, id)
	}
}

// askBefore has a webhook decide about approvals from now on.
func (rd *round) askBefore(ctx context.Context) {
	list := []object{{"name": "Before", "key": "before", "connection_config_key": "four"}}
	status, _ := again(ctx, func(ctx context.Context) (int, error) {
		return rd.send(ctx, http.MethodPut, "/dsr/webhook/pre_approval", rd.token, list, nil)
	})
	if status != http.StatusOK {
		rd.note("the pre-approval webhook was answered %d", status)
	}
}

// act approves, denies or cancels. What succeeded is promised; what did not may
// have been done before, or by somebody else.
func (rd *round) act(ctx context.Context, action string, word invariants.Word, ids ...string) {
	body := object{"request_ids": ids}
	if action != "approve" {
		body["reason"] = canary + "-reason"
	}
	var done bulk
	again(ctx, func(ctx context.Context) (int, error) {
		return rd.send(ctx, http.MethodPatch, "/privacy-request/administrate/"+action, rd.token, body, &done)
	})
	for _, one := range done.Succeeded {
		rd.promise(invariants.Promise{RequestID: one.ID, What: word})
	}
}

func (rd *round) cancel(ctx context.Context, id string) {
	rd.act(ctx, "cancel", invariants.Canceled, id)
}

// review is a person who approves and denies what waits, until the round is
// over.
func (rd *round) review(ctx context.Context) {
	for ctx.Err() == nil {
		items, err := rd.list(ctx, "pending", "pre_approval_not_eligible")
		if err != nil {
			pause(ctx, tryAgainAfter)
			continue
		}
		var yes, no []string
		for _, item := range items {
			if item.Policy.Key == deny {
				no = append(no, item.ID)
			} else {
				yes = append(yes, item.ID)
			}
		}
		if len(yes) > 0 {
			rd.act(ctx, "approve", invariants.Approved, yes...)
		}
		if len(no) > 0 {
			rd.act(ctx, "deny", invariants.Denied, no...)
		}
		pause(ctx, 2*tryAgainAfter)
	}
}

// listed is a request in the list.
type listed struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Policy struct {
		Key string `json:"key"`
	} `json:"policy"`
}

// list gives a page of the requests with a status.
func (rd *round) list(ctx context.Context, statuses ...string) ([]listed, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var page struct {
		Items []listed `json:"items"`
	}
	query := url.Values{"status": statuses, "size": {"50"}}
	status, err := rd.send(ctx, http.MethodGet, "/privacy-request?"+query.Encode(), rd.token, nil, &page)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the list was answered %d", status)
	}
	return page.Items, err
}

// resume is a system that halted a request. Where a resume was taken and its
// answer lost, the next is told that nothing is paused.
func (rd *round) resume(ctx context.Context, c receiver.Call, requestID, email string) {
	body := object{"derived_identity": object{"email": email}}
	rd.know(rd.resumed, c.WebhookID(), email)
	path, _ := strings.CutPrefix(c.ReplyTo(), "/api/v1")
	status, _ := again(ctx, func(ctx context.Context) (int, error) {
		return rd.send(ctx, http.MethodPost, path, c.Token(), body, nil)
	})
	if status == http.StatusOK {
		rd.promise(invariants.Promise{RequestID: requestID, What: invariants.Resumed, CallID: c.WebhookID()})
	}
}

// reply is a system that is asked before the approval. Its token lives no longer
// than those of halts, which is a few seconds in a round. Where the house could
// not take the reply until then, a person decides.
func (rd *round) reply(ctx context.Context, c receiver.Call, id string, eligible bool) {
	status, _ := again(ctx, func(ctx context.Context) (int, error) {
		r, err := rd.house.receiver.Eligible(ctx, c, eligible)
		return r.Status, err
	})
	switch {
	case status != http.StatusForbidden:
	case eligible:
		rd.act(ctx, "approve", invariants.Approved, id)
	default:
		rd.act(ctx, "deny", invariants.Denied, id)
	}
}

// retry is a person who retries what is in error.
func (rd *round) retry(ctx context.Context, id string) {
	status, _ := again(ctx, func(ctx context.Context) (int, error) {
		return rd.send(ctx, http.MethodPost, "/privacy-request/"+id+"/retry", rd.token, nil, nil)
	})
	if status == http.StatusOK {
		rd.promise(invariants.Promise{RequestID: id, What: invariants.Retried})
	}
}
