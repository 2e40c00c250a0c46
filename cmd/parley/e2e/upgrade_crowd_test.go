//go:build upgrade

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
	"github.com/parley-dsr/parley/internal/record"
)

const (
	crowdPolicy  = "crowd"
	derivedPhone = "+15555550100"
)

// crowdPaths are the webhooks of the crowd's policy, in their order: two that
// are waited for, and one that is only told.
var crowdPaths = []string{"/crowd/ask", "/crowd/later", "/crowd/tell"}

// crowd are requests that wait in each way in which a request can, and the
// called systems. What becomes of a request is in the e-mail address of its
// person:
//
//	go-…    nothing holds it up
//	hold-…  its first call is in flight until the gate is opened
//	halt-…  its first call derives a phone number and halts it
//	late-…  its second call is put off again and again, until the gate is opened
//	pend-…  a person has to approve it
type crowd struct {
	m     *mixed
	admin *rest.Client
	gate  chan struct{}
	once  sync.Once

	mu       sync.Mutex
	serial   int
	halted   []receiver.Call           // that wait for a resume
	answered map[string]map[string]int // of a request: how often each call was answered for good
	refused  map[string]int            // of a kind: how often a call was put off
	problems []string
}

func gatherCrowd(m *mixed) *crowd {
	m.t.Helper()
	c := &crowd{m: m, gate: make(chan struct{}), answered: map[string]map[string]int{}, refused: map[string]int{}}
	var err error
	if c.admin, err = rest.Open(m.t.Context(), rest.Settings{URL: m.origin, ClientID: rootID, ClientSecret: m.secret}); err != nil {
		m.t.Fatal(err)
	}
	for _, path := range crowdPaths {
		m.receiver.Script(path, receiver.Answer{Decide: c.answer})
	}
	c.configure()
	return c
}

func (c *crowd) configure() {
	type object = map[string]any
	hook := func(key, direction string) object {
		return object{"connection_config_key": "crowd_" + key, "direction": direction, "key": key, "name": key}
	}
	for _, path := range crowdPaths {
		key := "crowd_" + strings.TrimPrefix(path, "/crowd/")
		c.set(http.MethodPatch, "/connection", []object{{"name": key, "key": key, "connection_type": "https", "access": "read"}})
		c.set(http.MethodPut, "/connection/"+key+"/secret", object{"url": c.m.receiver.URL(path), "authorization": "Bearer crowd"})
	}
	c.set(http.MethodPatch, "/dsr/policy", []object{{"name": "Crowd", "key": crowdPolicy, "action_type": "erasure"}})
	c.set(http.MethodPut, "/dsr/policy/"+crowdPolicy+"/webhook/pre_execution", []object{hook("ask", "two_way"), hook("later", "two_way")})
	c.set(http.MethodPut, "/dsr/policy/"+crowdPolicy+"/webhook/post_execution", []object{hook("tell", "one_way")})
}

// set changes the configuration; to do it again does no harm.
func (c *crowd) set(method, path string, body any) {
	c.m.t.Helper()
	eventually(c.m.t, func() (bool, string) {
		err := c.admin.Do(c.m.t.Context(), method, "/api/v1"+path, body, nil)
		if err != nil && !rest.Passes(err) {
			c.m.t.Fatal(err)
		}
		return err == nil, fmt.Sprint(err)
	})
}

// answer is the called system.
func (c *crowd) answer(call receiver.Call) receiver.Answer {
	p, err := call.Payload()
	id, idErr := record.ParseCallID(call.WebhookID())
	email, _ := p.Identity["email"].(string)
	kind, _, _ := strings.Cut(email, "-")
	c.mu.Lock()
	defer c.mu.Unlock()
	if err = errors.Join(err, idErr); err != nil || call.Header.Get("Authorization") != "Bearer crowd" {
		c.problems = append(c.problems, fmt.Sprintf("a call to %s without what it should have: %v", call.Path, err))
	}
	if kind == "late" && call.Path == "/crowd/later" && !c.open() {
		c.refused[kind]++
		return receiver.Answer{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}}
	}
	if kind == "halt" && call.Path != "/crowd/ask" && (p.Identity["phone_number"] != derivedPhone || !strings.Contains(email, "+derived@")) {
		c.problems = append(c.problems, call.Path+" did not see what was derived for "+email)
	}
	if c.answered[id.RequestID] == nil {
		c.answered[id.RequestID] = map[string]int{}
	}
	c.answered[id.RequestID][call.Path+" "+call.WebhookID()]++
	if call.Path != "/crowd/ask" {
		return receiver.Continue()
	}
	switch kind {
	case "hold":
		return receiver.Continue().Until(c.gate)
	case "halt":
		c.halted = append(c.halted, call)
		return receiver.DeriveAndHalt(map[string]any{"phone_number": derivedPhone})
	}
	return receiver.Continue()
}

func (c *crowd) open() bool {
	select {
	case <-c.gate:
		return true
	default:
		return false
	}
}

// openGate lets the calls go on that are in flight or put off, and those to
// come.
func (c *crowd) openGate() { c.once.Do(func() { close(c.gate) }) }

// submit submits requests of a kind. A caller who is told to try again does.
func (c *crowd) submit(kind string, n int) {
	c.m.t.Helper()
	items := make([]map[string]any, n)
	c.mu.Lock()
	for i := range items {
		c.serial++
		items[i] = map[string]any{"policy_key": crowdPolicy, "identity": map[string]any{"email": fmt.Sprintf("%s-%d@example.com", kind, c.serial)}}
	}
	c.mu.Unlock()
	var created struct {
		Failed []json.RawMessage `json:"failed"`
	}
	eventually(c.m.t, func() (bool, string) {
		err := c.admin.Do(c.m.t.Context(), http.MethodPost, "/api/v1/privacy-request", items, &created)
		if err != nil && !rest.Passes(err) || len(created.Failed) > 0 {
			c.m.t.Fatalf("submission: %v %s", err, created.Failed)
		}
		return err == nil, fmt.Sprint(err)
	})
}

// fill submits requests of every kind, and waits until each waits in its way.
func (c *crowd) fill() {
	c.m.t.Helper()
	const each = 4
	manual := func(on bool) {
		c.set(http.MethodPatch, "/config", map[string]any{"execution": map[string]any{"require_manual_request_approval": on}})
	}
	manual(true)
	c.submit("pend", each)
	c.await("pending", each)
	manual(false)
	for _, kind := range []string{"go", "hold", "halt", "late"} {
		c.submit(kind, each)
	}
	c.await("paused", each)
	c.await("complete", each)
	eventually(c.m.t, func() (bool, string) {
		held := 0
		for _, call := range c.m.receiver.Calls() {
			if strings.Contains(string(call.Body), `"hold-`) {
				held++
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return held >= each && c.refused["late"] >= each, fmt.Sprintf("%d calls are in flight, %d were put off", held, c.refused["late"])
	})
}

// await waits until so many requests have a status, or more: a submission that
// had no answer may have been taken.
func (c *crowd) await(status string, want int) {
	c.m.t.Helper()
	eventually(c.m.t, func() (bool, string) {
		got := len(c.list(url.Values{"status": {status}}))
		return got >= want, fmt.Sprintf("%d requests are %s, want %d", got, status, want)
	})
}

// list gives the requests that a query selects: their statuses by id.
func (c *crowd) list(query url.Values) map[string]string {
	c.m.t.Helper()
	found := map[string]string{}
	query.Set("size", "100")
	query.Set("sort_field", "id")
	for page := 1; ; page++ {
		var answer struct {
			Items []struct{ ID, Status string } `json:"items"`
			Total int                           `json:"total"`
		}
		query.Set("page", fmt.Sprint(page))
		eventually(c.m.t, func() (bool, string) {
			err := c.admin.Do(c.m.t.Context(), http.MethodGet, "/api/v1/privacy-request?"+query.Encode(), nil, &answer)
			if err != nil && !rest.Passes(err) {
				c.m.t.Fatal(err)
			}
			return err == nil, fmt.Sprint(err)
		})
		for _, item := range answer.Items {
			found[item.ID] = item.Status
		}
		if page*100 >= answer.Total {
			return found
		}
	}
}

// round lets a few requests pass, two of them by a halt and a resume, and
// changes something in the configuration.
func (c *crowd) round() {
	c.m.t.Helper()
	c.submit("go", 2)
	c.submit("halt", 2)
	eventually(c.m.t, func() (bool, string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.halted) >= 2, "requests are to be halted"
	})
	c.resume(2)
	for range 2 {
		c.set(http.MethodPut, "/connection/crowd_tell/secret", map[string]any{
			"url": c.m.receiver.URL("/crowd/tell"), "authorization": "Bearer crowd",
		})
	}
}

// resume resumes requests, those first that have been halted for longest.
func (c *crowd) resume(n int) {
	c.m.t.Helper()
	c.mu.Lock()
	calls := slices.Clone(c.halted[:n])
	c.halted = c.halted[n:]
	c.mu.Unlock()
	for _, call := range calls {
		p, err := call.Payload()
		if err != nil {
			c.m.t.Fatal(err)
		}
		email, _ := p.Identity["email"].(string)
		derived := map[string]any{"email": strings.Replace(email, "@", "+derived@", 1)}
		tries := 0
		eventually(c.m.t, func() (bool, string) {
			tries++
			answer, err := c.m.receiver.Resume(c.m.t.Context(), call, derived)
			// The try before, which had no answer, may have been taken.
			done := answer.Status == http.StatusOK || tries > 1 && answer.Status == http.StatusBadRequest
			if err == nil && !done && answer.Status < http.StatusInternalServerError {
				c.m.t.Fatalf("a resume was answered %d %s", answer.Status, answer.Body)
			}
			return err == nil && done, fmt.Sprintf("a resume was answered %d %s, %v", answer.Status, answer.Body, err)
		})
	}
}
