//go:build faults

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/cmd/parley/internal/story"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
)

// scene is a house in which many requests live at the same time. Some services
// may run twice; callers take turns between the replicas.
type scene struct {
	*house
	client   *http.Client
	token    string // of an admin
	replicas map[string][]*child
	turns    atomic.Uint64
	tryAgain atomic.Int64 // how often a caller was told so
	js       jetstream.JetStream
}

const (
	scenePolicy = "scene_policy"
	scenePath   = "/scene"
	// answerWithin is how long a caller waits for one answer.
	answerWithin = 20 * time.Second
)

// openScene starts a house over the given databases, nil for new ones, with a
// second replica of the services that are named. Requests wait for a person,
// and then call two two_way webhooks.
func openScene(t *testing.T, databases, settings map[string]string, twice ...string) *scene {
	t.Helper()
	if databases == nil {
		databases = map[string]string{"config": testbed.Postgres(t), "orchestrator": testbed.Postgres(t)}
	}
	all := map[string]string{"PARLEY_LOG_LEVEL": "warn"}
	maps.Copy(all, settings)
	s := &scene{house: setupOver(t, databases, all), replicas: map[string][]*child{}, client: &http.Client{
		Timeout: answerWithin, Transport: &http.Transport{MaxIdleConnsPerHost: 128},
	}}
	t.Cleanup(s.client.CloseIdleConnections)
	for _, name := range serviceNames {
		s.replicas[name] = []*child{s.services[name]}
	}
	for _, name := range twice {
		s.replicas[name] = append(s.replicas[name], s.service(name, all))
	}
	s.startReplicas()
	_, s.js = testbed.Connect(t, s.natsURL)
	s.login()
	s.configure()
	return s
}

// startReplicas starts all processes of the four services.
func (s *scene) startReplicas() {
	s.t.Helper()
	for _, name := range serviceNames {
		for _, c := range s.replicas[name] {
			c.start()
		}
	}
	for _, name := range serviceNames {
		for _, c := range s.replicas[name] {
			c.awaitUp()
			c.awaitReady()
		}
	}
}

func (s *scene) login() {
	s.t.Helper()
	admin := &story.Story{Cast: story.Published(), Receiver: s.receiver}
	if err := admin.Open(s.t.Context(), s.origin, rootID, s.secret); err != nil {
		s.t.Fatal(err)
	}
	s.token = admin.Token()
}

func (s *scene) configure() {
	s.t.Helper()
	type object = map[string]any
	hook := func(key string) object {
		return object{"connection_config_key": "scene_connection", "direction": "two_way", "key": key, "name": key}
	}
	for _, step := range []struct {
		method, path string
		body         any
	}{
		{http.MethodPatch, "/connection", []object{{
			"name": "Scene", "key": "scene_connection", "connection_type": "https", "access": "read",
		}}},
		{http.MethodPut, "/connection/scene_connection/secret", object{
			"url": s.receiver.URL(scenePath), "authorization": "Bearer scene",
		}},
		{http.MethodPatch, "/dsr/policy", []object{{"name": "Scene", "key": scenePolicy}}},
		{http.MethodPatch, "/dsr/policy/" + scenePolicy + "/rule", []object{{
			"name": "Scene", "key": "scene_rule", "action_type": "access", "storage_destination_key": "none",
		}}},
		{http.MethodPut, "/dsr/policy/" + scenePolicy + "/webhook/pre_execution", []object{hook("first"), hook("second")}},
		{http.MethodPatch, "/config", object{"execution": object{"require_manual_request_approval": true}}},
	} {
		answer := s.post(step.method, "/api/v1"+step.path, s.token, step.body)
		if bytes.Contains(answer, []byte(`"message"`)) {
			s.t.Fatalf("%s %s answered %s", step.method, step.path, answer)
		}
	}
}

// reply is what a caller got; problem is what kept it from getting anything.
type reply struct {
	status  int
	body    []byte
	problem error
}

func (r reply) String() string {
	if r.problem != nil {
		return r.problem.Error()
	}
	return fmt.Sprintf("%d %s", r.status, r.body)
}

// busy says whether the caller is to try again.
func (r reply) busy() bool { return r.problem == nil && r.status == http.StatusServiceUnavailable }

// call sends JSON to the next replica of a service. A nil body is none.
func (s *scene) call(ctx context.Context, service, method, path, token string, body any) reply {
	replicas := s.replicas[service]
	to := replicas[s.turns.Add(1)%uint64(len(replicas))]
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return reply{problem: err}
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+to.addr+"/api/v1/privacy-request"+path, content)
	if err != nil {
		return reply{problem: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return reply{problem: err}
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return reply{status: resp.StatusCode, body: text, problem: err}
}

// shown is what answers say about a request.
type shown struct {
	ID         string        `json:"id"`
	Status     record.Status `json:"status"`
	ReviewedAt *string       `json:"reviewed_at"`
}

// bulk is the answer to an action on many requests.
type bulk struct {
	Succeeded []shown `json:"succeeded"`
	Failed    []struct {
		Message string `json:"message"`
	} `json:"failed"`
}

// ids are the requests for which the action succeeded.
func (b bulk) ids() []string {
	ids := make([]string, len(b.Succeeded))
	for i, one := range b.Succeeded {
		ids[i] = one.ID
	}
	return ids
}

func (r reply) bulk() (b bulk, err error) {
	if r.problem != nil || r.status != http.StatusOK {
		return b, fmt.Errorf("answered %s", r)
	}
	return b, json.Unmarshal(r.body, &b)
}

// submit submits one request for each e-mail address.
func (s *scene) submit(ctx context.Context, emails ...string) (bulk, error) {
	return s.submission(ctx, emails...).bulk()
}

func (s *scene) submission(ctx context.Context, emails ...string) reply {
	items := make([]map[string]any, len(emails))
	for i, email := range emails {
		items[i] = map[string]any{"policy_key": scenePolicy, "identity": map[string]any{"email": email}}
	}
	return s.call(ctx, "orchestrator", http.MethodPost, "", "", items)
}

// insisted does what a client does that is told to try again. It gives the first
// other answer, and how often it asked.
func (s *scene) insisted(ctx context.Context, ask func() reply) (b bulk, tries int, err error) {
	insist(ctx, func() error {
		tries++
		r := ask()
		if r.busy() {
			s.tryAgain.Add(1)
			return errors.New(r.String())
		}
		b, err = r.bulk()
		return nil
	})
	return b, tries, err
}

// together does something for so many numbers, a few at a time.
func together(n int, do func(i int)) {
	slots := make(chan struct{}, 8)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	wg.Wait()
}

// mustSubmit submits all and gives the ids in the same order.
func (s *scene) mustSubmit(emails ...string) []string {
	s.t.Helper()
	ids := make([]string, len(emails))
	together(len(emails), func(i int) {
		b, _, err := s.insisted(s.t.Context(), func() reply { return s.submission(s.t.Context(), emails[i]) })
		if err != nil || len(b.Succeeded) != 1 {
			s.t.Errorf("a submission failed: %v %+v", err, b.Failed)
			return
		}
		ids[i] = b.Succeeded[0].ID
	})
	if s.t.Failed() {
		s.t.FailNow()
	}
	return ids
}

// administrate approves, denies or cancels.
func (s *scene) administrate(ctx context.Context, action string, ids ...string) (bulk, error) {
	return s.review(ctx, action, ids...).bulk()
}

func (s *scene) review(ctx context.Context, action string, ids ...string) reply {
	body := map[string]any{"request_ids": ids}
	if action == "deny" {
		body["reason"] = "no"
	}
	return s.call(ctx, "orchestrator", http.MethodPatch, "/administrate/"+action, s.token, body)
}

// mustApprove approves all. An approval that was to be tried again may have been
// carried out.
func (s *scene) mustApprove(ids ...string) {
	s.t.Helper()
	together(len(ids), func(i int) {
		b, tries, err := s.insisted(s.t.Context(), func() reply { return s.review(s.t.Context(), "approve", ids[i]) })
		if err != nil || len(b.Succeeded) != 1 && tries == 1 {
			s.t.Errorf("an approval failed: %v %+v", err, b.Failed)
		}
	})
	if s.t.Failed() {
		s.t.FailNow()
	}
}

// resume posts a resume with a reply token, as the halting system does.
func (s *scene) resume(ctx context.Context, id, token, derivedEmail string) reply {
	body := map[string]any{}
	if derivedEmail != "" {
		body["derived_identity"] = map[string]any{"email": derivedEmail}
	}
	return s.call(ctx, "callback", http.MethodPost, "/"+id+"/resume", token, body)
}

// list gives the requests that a query selects, a hundred at most, and the
// number of all.
func (s *scene) list(ctx context.Context, query url.Values) ([]shown, int, error) {
	query.Set("size", "100")
	r := s.call(ctx, "orchestrator", http.MethodGet, "?"+query.Encode(), s.token, nil)
	var page struct {
		Items []shown `json:"items"`
		Total int     `json:"total"`
	}
	if r.problem != nil || r.status != http.StatusOK {
		return nil, 0, fmt.Errorf("answered %s", r)
	}
	err := json.Unmarshal(r.body, &page)
	return page.Items, page.Total, err
}

// read gives one request as the list shows it.
func (s *scene) read(ctx context.Context, id string) (shown, error) {
	items, total, err := s.list(ctx, url.Values{"request_id": {id}})
	switch {
	case err != nil:
		return shown{}, err
	case total != 1 || len(items) != 1 || items[0].ID != id:
		return shown{}, fmt.Errorf("the list has %d requests with the id %s", total, id)
	}
	return items[0], nil
}

// awaitCount waits until so many requests have one of the statuses.
func (s *scene) awaitCount(want int, statuses ...record.Status) {
	s.t.Helper()
	query := url.Values{}
	for _, status := range statuses {
		query.Add("status", string(status))
	}
	eventually(s.t, func() (bool, string) {
		_, total, err := s.list(s.t.Context(), query)
		return err == nil && total == want, fmt.Sprintf("%d requests are %v, want %d (%v)", total, statuses, want, err)
	})
}

// logEntry is an entry of the execution log.
type logEntry struct {
	Group   string `json:"dataset_name"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

// log gives the execution log of a request.
func (s *scene) log(ctx context.Context, id string) ([]logEntry, error) {
	r := s.call(ctx, "orchestrator", http.MethodGet, "/"+id+"/log?size=100", s.token, nil)
	var page struct {
		Items []logEntry `json:"items"`
	}
	if r.problem != nil || r.status != http.StatusOK {
		return nil, fmt.Errorf("answered %s", r)
	}
	return page.Items, json.Unmarshal(r.body, &page)
}

// callsTo are the calls that the receiver got about a request, in their order.
func (s *scene) callsTo(id string) []receiver.Call {
	var calls []receiver.Call
	for _, c := range s.receiver.Calls() {
		if strings.HasPrefix(c.WebhookID(), id+"_") {
			calls = append(calls, c)
		}
	}
	return calls
}

// requestOf is the request that a call is about.
func requestOf(c receiver.Call) string {
	call, err := record.ParseCallID(c.WebhookID())
	if err != nil {
		return err.Error()
	}
	return call.RequestID
}

// targetOf is the webhook that is called.
func targetOf(c receiver.Call) string {
	call, err := record.ParseCallID(c.WebhookID())
	if err != nil {
		return err.Error()
	}
	return call.Target
}

// emailOf is the address that a call says.
func emailOf(c receiver.Call) string {
	p, err := c.Payload()
	if err != nil {
		return err.Error()
	}
	email, _ := p.Identity["email"].(string)
	return email
}

// look opens a bucket, to read it from outside.
func (s *scene) look(name string) *topology.Bucket {
	s.t.Helper()
	b, err := topology.AwaitBucket(s.t.Context(), s.js, name, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// recordIn reads the record of a request.
func recordIn(ctx context.Context, b *topology.Bucket, id string) (record.Record, error) {
	var rec record.Record
	entry, err := b.Get(ctx, id)
	if err != nil {
		return rec, err
	}
	return rec, json.Unmarshal(entry.Value, &rec)
}
