package story

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
)

// Forgotten tells of a halt that nobody resumes: its time ends, and the request
// says so. It needs an installation with a short
// PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT.
func (s *Story) Forgotten(ctx context.Context) error {
	if err := s.prepareOne(ctx, "forgotten"); err != nil {
		return err
	}
	s.Receiver.Script(s.one("forgotten"), receiver.Halt())
	if err := s.submit(ctx, "forgotten_policy"+s.Names); err != nil {
		return err
	}
	call, err := s.Receiver.Next(ctx, s.one("forgotten"))
	if err != nil {
		return err
	}
	s.Narrate("receiver halts, and forgets about it")
	if err := s.SeeStatus(ctx, "error"); err != nil {
		return err
	}
	if err := s.tellLog(ctx); err != nil {
		return err
	}
	reply, err := s.Receiver.Resume(ctx, call, nil)
	if err != nil {
		return err
	}
	if reply.Status != http.StatusForbidden {
		return fmt.Errorf("story: a resume after the end of the halt was answered %d: %s", reply.Status, reply.Body)
	}
	s.Narrate(fmt.Sprintf("a late resume is refused: %d %s", reply.Status, strings.TrimSpace(string(reply.Body))))
	return nil
}

// Mended tells of a webhook that is broken: the request fails after the last
// attempt, the webhook is mended, a person retries, and the request goes on
// where it failed.
func (s *Story) Mended(ctx context.Context) error {
	if err := s.prepareOne(ctx, "mended"); err != nil {
		return err
	}
	s.Receiver.Script(s.one("mended"), receiver.Status(http.StatusInternalServerError))
	if err := s.submit(ctx, "mended_policy"+s.Names); err != nil {
		return err
	}
	if err := s.SeeStatus(ctx, "error"); err != nil {
		return err
	}
	if err := s.tellLog(ctx); err != nil {
		return err
	}
	s.Receiver.Script(s.one("mended"), receiver.Continue())
	s.Narrate("the receiver is mended")
	if err := s.api.Do(ctx, http.MethodPost, "/v1/privacy-request/"+s.RequestID+"/retry", nil, nil); err != nil {
		return err
	}
	s.Narrate("admin retries the request")
	if err := s.SeeStatus(ctx, "complete"); err != nil {
		return err
	}
	s.Narrate("the request is complete")
	return nil
}

// one is the path of a webhook that stands alone.
func (s *Story) one(name string) string { return "/" + name + s.Names }

// prepareOne sets a connection, and a policy with one two_way webhook.
func (s *Story) prepareOne(ctx context.Context, name string) error {
	connection, policy := name+"_connection"+s.Names, name+"_policy"+s.Names
	steps := []struct {
		method, path string
		body         any
	}{
		{http.MethodPatch, "/v1/connection", []object{{
			"name": connection, "key": connection, "connection_type": "https", "access": "read",
		}}},
		{http.MethodPut, "/v1/connection/" + connection + "/secret", object{
			"url": s.Receiver.URL(s.one(name)), "authorization": s.Cast.Authorization,
		}},
		{http.MethodPatch, "/v1/dsr/policy", []object{{"name": policy, "key": policy, "action_type": "access"}}},
		{http.MethodPut, "/v1/policy/" + policy + "/webhook/pre_execution", []object{{
			"connection_config_key": connection, "direction": "two_way", "key": name + s.Names, "name": name + s.Names,
		}}},
	}
	for _, step := range steps {
		if err := s.set(ctx, step.method, step.path, step.body); err != nil {
			return err
		}
	}
	s.Narrate("admin sets a policy with one webhook, " + name + s.Names)
	return nil
}

// tellLog narrates why the request failed, from its log.
func (s *Story) tellLog(ctx context.Context) error {
	var page struct {
		Items []struct {
			DatasetName string  `json:"dataset_name"`
			Status      string  `json:"status"`
			Message     *string `json:"message"`
		} `json:"items"`
	}
	return until(ctx, func() (bool, error) {
		if err := s.api.Do(ctx, http.MethodGet, "/v1/privacy-request/"+s.RequestID+"/log?size=100", nil, &page); err != nil {
			return false, err
		}
		for _, item := range page.Items {
			if item.Status == "error" && item.Message != nil {
				s.Narrate("its log says: " + *item.Message)
				return true, nil
			}
		}
		return false, nil
	})
}
