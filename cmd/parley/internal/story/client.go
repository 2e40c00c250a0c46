package story

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// client speaks REST to Parley as an admin's script does.
type client struct {
	origin string
	token  string
	http   *http.Client
}

// login fetches an access token with the credentials of an API client.
func (c *client) login(ctx context.Context, id, secret string) error {
	form := url.Values{"client_id": {id}, "client_secret": {secret}, "grant_type": {"client_credentials"}}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	body := strings.NewReader(form.Encode())
	if err := c.send(ctx, http.MethodPost, "/v1/oauth/token", "application/x-www-form-urlencoded", body, &answer); err != nil {
		return err
	}
	c.token = answer.AccessToken
	return nil
}

// do sends a JSON body, nil for none, and reads the answer into out, nil to
// drop it. Any status but 2xx is an error that shows what the answer said.
func (c *client) do(ctx context.Context, method, path string, body, out any) error {
	if body == nil {
		return c.send(ctx, method, path, "", http.NoBody, out)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("story: body of %s: %w", path, err)
	}
	return c.send(ctx, method, path, "application/json", bytes.NewReader(encoded), out)
}

func (c *client) send(ctx context.Context, method, path, contentType string, body io.Reader, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.origin+path, body)
	if err != nil {
		return fmt.Errorf("story: %w", err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("story: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("story: answer to %s %s: %w", method, path, err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return &StatusError{Method: method, Path: path, Status: resp.StatusCode, Body: string(answer)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("story: answer to %s %s: %w", method, path, err)
	}
	return nil
}

// StatusError is an answer with another status than 2xx.
type StatusError struct {
	Method, Path string
	Status       int
	Body         string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("story: %s %s answered %d: %s", e.Method, e.Path, e.Status, e.Body)
}

// until calls look again and again, with a pause, until it says so or ctx ends.
func until(ctx context.Context, look func() (bool, error)) error {
	pause := time.NewTicker(25 * time.Millisecond)
	defer pause.Stop()
	for {
		ok, err := look()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
}
