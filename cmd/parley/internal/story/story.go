// Package story is the one story that shows what Parley is for, told over real
// HTTP against any installation: an admin sets a connection, a policy and
// webhooks, with the paths and bodies of the published documents; a person
// submits an erasure request; a called system derives a phone number and halts
// the request; it resumes it with another e-mail address; the rest is called
// and the request completes.
//
// Every step checks what it sees. The demo prints the story; the end-to-end
// tests play it under difficulties.
package story

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
)

// Cast are the values that appear in the story.
type Cast struct {
	Email        string // the person's
	Phone        string // what the second webhook derives
	DerivedEmail string // what the resume derives
	ExternalID   string
	// Authorization is sent to the receiver verbatim.
	Authorization string
	// Header is a further header that the connection sends.
	Header string
}

// Published is the cast of the published documents.
func Published() Cast {
	return Cast{
		Email: "customer-1@example.com", Phone: "+15555555555", DerivedEmail: "customer-1@gmail.com",
		ExternalID: "privacy_request_123", Authorization: "Bearer mysecrettoken",
	}
}

// Story is one telling.
type Story struct {
	Cast     Cast
	Receiver *receiver.Receiver
	// Narrate is told what happens, as it happens; nil tells nobody.
	Narrate func(what string)
	// Names are appended to keys and names, so that several stories can be
	// told on one installation; "" tells it with the published ones.
	Names string

	api *rest.Client
	// RequestID is known once the request is submitted.
	RequestID string
	halted    receiver.Call
	calls     []receiver.Call
}

// path is where all webhooks of the story go: they share a connection.
func (s *Story) path() string { return "/webhook" + s.Names }

// Open logs in. It must come first.
func (s *Story) Open(ctx context.Context, origin, clientID, clientSecret string) error {
	s.api = rest.New(origin)
	if s.Narrate == nil {
		s.Narrate = func(string) {}
	}
	if err := s.api.Login(ctx, clientID, clientSecret); err != nil {
		return err
	}
	s.Narrate("admin gets an access token")
	return nil
}

// Play tells the whole story after Open.
func (s *Story) Play(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.Configure, s.Submit, s.SeeHalt, s.Resume, s.SeeEnd,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

const connectionKey, policyKey = "test_webhook_connection_config", "erasure_policy"

type object = map[string]any

// Configure sets connection, policy and webhooks.
func (s *Story) Configure(ctx context.Context) error {
	connection, policy := connectionKey+s.Names, policyKey+s.Names
	secrets := object{"url": s.Receiver.URL(s.path()), "authorization": s.Cast.Authorization}
	if s.Cast.Header != "" {
		secrets["headers"] = object{"X-Api-Key": s.Cast.Header}
	}
	webhook := func(direction, key, name string) object {
		return object{"connection_config_key": connection, "direction": direction, "key": key + s.Names, "name": name + s.Names}
	}
	steps := []struct {
		method, path string
		body         any
		say          string
	}{
		{http.MethodPatch, "/v1/connection", []object{{
			"name": "My Webhook Connection Configuration" + s.Names, "key": connection,
			"connection_type": "https", "access": "read",
		}}, "admin creates the connection " + connection},
		{http.MethodPut, "/v1/connection/" + connection + "/secret", secrets, "admin sets its secrets"},
		{http.MethodPatch, "/v1/dsr/policy", []object{{"name": "Erasure policy" + s.Names, "key": policy}},
			"admin creates the policy " + policy},
		{http.MethodPatch, "/v1/dsr/policy/" + policy + "/rule", []object{{
			"name": "Erasure rule" + s.Names, "key": "erasure_rule" + s.Names, "action_type": "erasure",
			"masking_strategy": object{"strategy": "hmac", "configuration": object{}},
		}}, "admin gives it an erasure rule"},
		{http.MethodPut, "/v1/policy/" + policy + "/webhook/pre_execution", []object{
			webhook("one_way", "wake_up_snowflake_db", "Wake up Snowflake DB Webhook"),
			webhook("two_way", "prep_systems_webhook", "Prep Systems Webhook"),
			webhook("two_way", "check_legal_hold", "Check Legal Hold Webhook"),
		}, "admin puts three pre-execution webhooks"},
		{http.MethodPut, "/v1/policy/" + policy + "/webhook/post_execution", []object{
			webhook("one_way", "clear_cache", "Clear Cache Webhook"),
		}, "admin puts one post-execution webhook"},
	}
	for _, step := range steps {
		if err := s.set(ctx, step.method, step.path, step.body); err != nil {
			return err
		}
		s.Narrate(step.say)
	}
	return nil
}

// set changes the configuration.
func (s *Story) set(ctx context.Context, method, path string, body any) error {
	var answer any
	if err := s.api.Do(ctx, method, path, body, &answer); err != nil {
		return err
	}
	return refusedItems(path, answer)
}

// refusedItems finds the items that a bulk endpoint reports as failed.
func refusedItems(path string, answer any) error {
	bulk, ok := answer.(object)
	if !ok {
		return nil
	}
	failed, _ := bulk["failed"].([]any)
	if len(failed) == 0 {
		return nil
	}
	item, _ := failed[0].(object)
	return fmt.Errorf("story: %s refused an item: %v", path, item["message"])
}

// script answers by what a call says, so that a call that comes again gets the
// answer that it got.
func (s *Story) script() receiver.Answer {
	return receiver.Answer{Decide: func(c receiver.Call) receiver.Answer {
		p, err := c.Payload()
		if err != nil {
			return receiver.Status(http.StatusBadRequest)
		}
		if p.CallbackType == "pre" && p.Direction == "two_way" && p.Identity["phone_number"] == nil {
			return receiver.DeriveAndHalt(object{"phone_number": s.Cast.Phone})
		}
		return receiver.Continue()
	}}
}

// Submit submits the person's request.
func (s *Story) Submit(ctx context.Context) error {
	s.Receiver.Script(s.path(), s.script())
	return s.submit(ctx, policyKey+s.Names)
}

func (s *Story) submit(ctx context.Context, policy string) error {
	body := []object{{
		"policy_key": policy, "identity": object{"email": s.Cast.Email},
		"external_id": s.Cast.ExternalID,
	}}
	var answer struct {
		Succeeded []struct {
			ID     string `json:"id"`
			Status string `json:"status"`
		} `json:"succeeded"`
		Failed []struct {
			Message string `json:"message"`
		} `json:"failed"`
	}
	if err := s.api.Do(ctx, http.MethodPost, "/v1/privacy-request", body, &answer); err != nil {
		return err
	}
	if len(answer.Failed) > 0 || len(answer.Succeeded) != 1 {
		return fmt.Errorf("story: the request was not created: %+v", answer.Failed)
	}
	s.RequestID = answer.Succeeded[0].ID
	s.Narrate("person submits " + s.RequestID)
	return nil
}

// SeeHalt waits until the second webhook has halted the request.
func (s *Story) SeeHalt(ctx context.Context) error {
	if err := s.expect(ctx, "wake_up_snowflake_db", "pre", "one_way", ""); err != nil {
		return err
	}
	if err := s.expect(ctx, "prep_systems_webhook", "pre", "two_way", "phone number derived, halt"); err != nil {
		return err
	}
	s.halted = s.calls[len(s.calls)-1]
	if s.halted.ReplyTo() != "/privacy-request/"+s.RequestID+"/resume" || s.halted.Token() == "" {
		return fmt.Errorf("story: the call to halt has no reply-to headers: %v", s.halted.ReplyTo())
	}
	if err := s.SeeStatus(ctx, "paused"); err != nil {
		return err
	}
	s.Narrate("the request is paused")
	return s.seeHalted(ctx)
}

// seeHalted waits until the halt is listed, with its end.
func (s *Story) seeHalted(ctx context.Context) error {
	var page struct {
		Items []struct {
			RequestID  string    `json:"privacy_request_id"`
			WebhookKey string    `json:"webhook_key"`
			Until      time.Time `json:"until"`
		} `json:"items"`
	}
	err := until(ctx, func() (bool, error) {
		err := s.api.Do(ctx, http.MethodGet, "/api/v1/halted?size=100", nil, &page)
		if err != nil {
			return false, err
		}
		for _, item := range page.Items {
			if item.RequestID == s.RequestID {
				s.Narrate(fmt.Sprintf("halted on %s until %s", item.WebhookKey, item.Until.Format(time.RFC3339)))
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("story: the halt is not listed: %w", err)
	}
	return nil
}

// Resume posts the resume, as the halting system does.
func (s *Story) Resume(ctx context.Context) error {
	reply, err := s.Receiver.Resume(ctx, s.halted, object{"email": s.Cast.DerivedEmail})
	if err != nil {
		return err
	}
	if reply.Status != http.StatusOK {
		return fmt.Errorf("story: the resume was answered %d: %s", reply.Status, reply.Body)
	}
	s.Narrate("prep_systems_webhook resumes with a derived e-mail")
	return nil
}

// SeeEnd waits for the rest of the calls and the end of the request.
func (s *Story) SeeEnd(ctx context.Context) error {
	if err := s.expect(ctx, "check_legal_hold", "pre", "two_way", "sees phone and e-mail"); err != nil {
		return err
	}
	p, err := s.calls[len(s.calls)-1].Payload()
	if err != nil {
		return err
	}
	if p.Identity["phone_number"] != s.Cast.Phone || p.Identity["email"] != s.Cast.DerivedEmail {
		return fmt.Errorf("story: the third webhook did not see what was derived")
	}
	if err := s.expect(ctx, "clear_cache", "post", "one_way", ""); err != nil {
		return err
	}
	if err := s.SeeStatus(ctx, "complete"); err != nil {
		return err
	}
	s.Narrate("the request is complete")
	return nil
}

// expect waits for the next call and checks which one it is. A repeat of the
// call before, with the same webhook-id, is passed over.
func (s *Story) expect(ctx context.Context, webhook, callbackType, direction, note string) error {
	for {
		call, err := s.Receiver.Next(ctx, s.path())
		if err != nil {
			return fmt.Errorf("story: waiting for the call of %s: %w", webhook, err)
		}
		if n := len(s.calls); n > 0 && s.calls[n-1].WebhookID() == call.WebhookID() {
			continue
		}
		p, err := call.Payload()
		if err != nil {
			return err
		}
		if p.CallbackType != callbackType || p.Direction != direction || p.PrivacyRequestID != s.RequestID {
			return fmt.Errorf("story: expected %s (%s, %s), got a call of %s, %s", webhook, callbackType, direction, p.CallbackType, p.Direction)
		}
		if got := call.Header.Get("Authorization"); got != s.Cast.Authorization {
			return fmt.Errorf("story: %s was called with another Authorization", webhook)
		}
		s.calls = append(s.calls, call)
		if note != "" {
			note = ": " + note
		}
		s.Narrate("receiver gets " + webhook + note)
		return nil
	}
}

// SeeStatus waits until the request has the status.
func (s *Story) SeeStatus(ctx context.Context, want string) error {
	last := ""
	err := until(ctx, func() (bool, error) {
		var page struct {
			Items []struct {
				Status string `json:"status"`
			} `json:"items"`
		}
		if err := s.api.Do(ctx, http.MethodGet, "/v1/privacy-request?request_id="+s.RequestID, nil, &page); err != nil {
			return false, err
		}
		if len(page.Items) != 1 {
			return false, nil
		}
		last = page.Items[0].Status
		return last == want, nil
	})
	if err != nil {
		return fmt.Errorf("story: %s should be %s, is %q: %w", s.RequestID, want, last, err)
	}
	return nil
}

// Token is the access token of the admin.
func (s *Story) Token() string { return s.api.Token() }

// Calls are the calls that the receiver got, in the story's order.
func (s *Story) Calls() []receiver.Call { return s.calls }
