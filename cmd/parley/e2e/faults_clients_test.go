//go:build faults

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
)

// again calls try until it says that it is done.
func again(ctx context.Context, try func(ctx context.Context) (done bool, err error)) error {
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, clientPatience)
		done, err := try(attempt)
		cancel()
		if done {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-pause.C:
		}
	}
}

// submit is a person, who sends the form again until it is accepted, for one or
// more requests.
func (g *ground) submit(ctx context.Context, policy string, emails ...string) (ids []string, err error) {
	var body []map[string]any
	for _, email := range emails {
		body = append(body, map[string]any{"policy_key": policy, "identity": map[string]any{"email": email}})
	}
	err = again(ctx, func(ctx context.Context) (bool, error) {
		status, answer, err := send(ctx, http.MethodPost, g.origin+"/v1/privacy-request", "", body)
		if err != nil || status >= http.StatusInternalServerError {
			return false, fmt.Errorf("answered %d: %s: %w", status, answer, err)
		}
		var bulk struct {
			Succeeded []struct {
				ID string `json:"id"`
			} `json:"succeeded"`
		}
		if err := json.Unmarshal(answer, &bulk); err != nil || len(bulk.Succeeded) != len(emails) {
			return true, fmt.Errorf("answered %d: %s", status, answer)
		}
		for _, r := range bulk.Succeeded {
			ids = append(ids, r.ID)
		}
		return true, nil
	})
	return ids, err
}

// resume is the receiver, which sends the resume again until it is taken. Where
// one was taken and its answer lost, the next is told that nothing is paused.
func (g *ground) resume(ctx context.Context, call receiver.Call, email string) error {
	sent := 0
	return again(ctx, func(ctx context.Context) (bool, error) {
		sent++
		reply, err := g.receiver.Resume(ctx, call, map[string]any{"email": email})
		switch {
		case err != nil || reply.Status >= http.StatusInternalServerError:
			return false, fmt.Errorf("answered %d: %s: %w", reply.Status, reply.Body, err)
		case reply.Status == http.StatusOK, reply.Status == http.StatusBadRequest && sent > 1:
			return true, nil
		}
		return true, fmt.Errorf("answered %d: %s", reply.Status, reply.Body)
	})
}

// read reads as people do. The answer is looked at only where the status is
// 200.
func (g *ground) read(ctx context.Context, path string, into any) (status int, err error) {
	status, answer, err := send(ctx, http.MethodGet, g.origin+path, g.token, nil)
	if err == nil && status == http.StatusOK {
		err = json.Unmarshal(answer, into)
	}
	return status, err
}
