package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/parley-dsr/parley/bench/internal/load"
	"github.com/parley-dsr/parley/bench/internal/parts"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/token"
)

type object = map[string]any

// policies are keys of policies, each with one two_way webhook before and one
// one_way webhook after the execution.
type policies []string

// configure makes policies over so many connections, half as many as these:
// what is called before the execution is another connection than what is
// called after it. The ones before lead to path.
func (h *house) configure(ctx context.Context, name string, connections int, path string) (policies, error) {
	n := max(connections/2, 1)
	keys := make(policies, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s_%d", name, i)
	}
	return keys, load.Each(n, 8, func(i int) error { return h.policy(ctx, keys[i], path) })
}

func (h *house) policy(ctx context.Context, key, path string) error {
	connection := func(when, path string) []step {
		name := key + "_" + when
		return []step{
			{http.MethodPatch, "/connection", []object{{"name": name, "key": name, "connection_type": "https", "access": "read"}}},
			{http.MethodPut, "/connection/" + name + "/secret", object{"url": h.parts[partReceiver].URL + path, "authorization": "Bearer s3cret"}},
		}
	}
	hook := func(when, direction string) []object {
		name := key + "_" + when
		return []object{{"connection_config_key": name, "direction": direction, "key": name, "name": name}}
	}
	steps := append(connection("pre", path), connection("post", parts.PathGo)...)
	steps = append(steps,
		step{http.MethodPatch, "/dsr/policy", []object{{"name": key, "key": key}}},
		step{http.MethodPatch, "/dsr/policy/" + key + "/rule", []object{{
			"name": key, "key": key, "action_type": "access", "storage_destination_key": "none",
		}}},
		step{http.MethodPut, "/dsr/policy/" + key + "/webhook/pre_execution", hook("pre", "two_way")},
		step{http.MethodPut, "/dsr/policy/" + key + "/webhook/post_execution", hook("post", "one_way")},
	)
	bearer, err := h.access()
	if err != nil {
		return err
	}
	for _, s := range steps {
		var answer json.RawMessage
		if err := h.ask(ctx, s.method, h.parts["config"].URL+"/api/v1"+s.path, bearer, s.body, &answer); err != nil {
			return err
		}
		var bulk struct {
			Failed []json.RawMessage `json:"failed"`
		}
		if json.Unmarshal(answer, &bulk) == nil && len(bulk.Failed) > 0 {
			return fmt.Errorf("%s %s: %s", s.method, s.path, answer)
		}
	}
	return nil
}

type step struct {
	method, path string
	body         any
}

// access issues an access token of the root client.
func (h *house) access() (string, error) {
	now := time.Now()
	return token.IssueAccess(h.ring, token.Access{
		ClientID: rootClient, Scopes: edge.AllScopes(), IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	})
}

// ask sends JSON and reads the answer, which has to be 200, into out.
func (h *house) ask(ctx context.Context, method, url, bearer string, body, out any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	answer, err := h.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return &refusedError{what: method + " " + request.URL.Path, status: answer.StatusCode, text: string(text)}
	}
	return json.Unmarshal(text, out)
}

// refusedError is an answer that is not 200.
type refusedError struct {
	what   string
	status int
	text   string
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("%s answered %d: %s", e.what, e.status, e.text)
}
