// Package rest speaks REST to a Parley that runs somewhere, as an admin's
// script does: the commands of parley and the story of the demo use it.
//
// A client says who it is with an access token, or with the credentials of an
// API client, for which it fetches one. Redirects are not followed: credentials
// go where they were meant for and nowhere else. An answer that is not 2xx is a
// *StatusError, which shows what the answer said and never what was sent.
package rest

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

const (
	answerWithin = 30 * time.Second
	// maxAnswer is what is read of an answer: a page of a hundred is far below.
	maxAnswer = 16 << 20
)

// Client is who asks, and where.
type Client struct {
	origin string
	token  string
	http   *http.Client
}

// New returns a client of the Parley at origin, scheme and host, that has not
// logged in.
func New(origin string) *Client {
	return &Client{origin: strings.TrimSuffix(origin, "/"), http: &http.Client{
		Timeout:       answerWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Login fetches an access token with the credentials of an API client.
func (c *Client) Login(ctx context.Context, id, secret string) error {
	form := url.Values{"client_id": {id}, "client_secret": {secret}, "grant_type": {"client_credentials"}}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	body := strings.NewReader(form.Encode())
	if err := c.send(ctx, http.MethodPost, "/api/v1/oauth/token", "application/x-www-form-urlencoded", body, &answer); err != nil {
		return err
	}
	if answer.AccessToken == "" {
		return ErrNotParley
	}
	c.token = answer.AccessToken
	return nil
}

// Token is the access token, "" before the login.
func (c *Client) Token() string { return c.token }

// Do sends a JSON body, nil for none, and reads the answer into out, nil to
// drop it. Any status but 2xx is a *StatusError.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) error {
	if body == nil {
		return c.send(ctx, method, path, "", http.NoBody, out)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("body of %s %s: %w", method, path, err)
	}
	return c.send(ctx, method, path, "application/json", bytes.NewReader(encoded), out)
}

func (c *Client) send(ctx context.Context, method, path, contentType string, body io.Reader, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.origin+path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w at %s: %w", ErrNoAnswer, c.origin, cause(err))
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%w at %s: %w", ErrNoAnswer, c.origin, err)
	}
	if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices {
		return &StatusError{Method: method, Path: path, Status: resp.StatusCode, Body: string(answer)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%w: answer to %s %s: %w", ErrNotParley, method, path, err)
	}
	return nil
}
