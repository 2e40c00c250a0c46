package receiver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Reply is what Parley said to a callback.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Resume lets a halted request go on, with derived identities or nil: a POST to
// the origin of Parley with the call's reply-to path appended.
func (r *Receiver) Resume(ctx context.Context, c Call, derived map[string]any) (Reply, error) {
	body := map[string]any{}
	if derived != nil {
		body["derived_identity"] = derived
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return Reply{}, fmt.Errorf("receiver: derived identity: %w", err)
	}
	return r.Post(ctx, c.ReplyTo(), c.Token(), encoded)
}

// Eligible answers a pre-approval call: the request may be approved, or it may
// not and goes to a person.
func (r *Receiver) Eligible(ctx context.Context, c Call, eligible bool) (Reply, error) {
	path := c.Header.Get(headerNotEligible)
	if eligible {
		path = c.Header.Get(headerEligible)
	}
	return r.Post(ctx, path, c.Token(), nil)
}

// Post sends a body with a bearer token to a path of Parley.
func (r *Receiver) Post(ctx context.Context, path, token string, body []byte) (Reply, error) {
	if path == "" || token == "" || r.origin == "" {
		return Reply{}, ErrNoReply
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(r.origin, "/")+path, bytes.NewReader(body))
	if err != nil {
		return Reply{}, fmt.Errorf("receiver: %w", err)
	}
	req.Header.Set(headerAuthorization, "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return Reply{}, fmt.Errorf("receiver: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return Reply{}, fmt.Errorf("receiver: %w", err)
	}
	return Reply{Status: resp.StatusCode, Header: resp.Header, Body: answer}, nil
}
