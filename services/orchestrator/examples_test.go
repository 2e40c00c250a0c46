package orchestrator_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	openapi "github.com/parley-dsr/parley/services/orchestrator/api"
	"github.com/parley-dsr/parley/services/orchestrator/internal/dispatchertest"
)

// exampleID is the request that the examples of the document name.
const exampleID = "pri_029832ba-3b84-40f7-8946-82aec6f95448"

// stage makes a request in the state that an operation is for, and returns its
// id.
func (s *service) stage(operation string) string {
	s.t.Helper()
	status, answers := map[string]string{
		"retryRequest": "error", "retryRequests": "error", "resumeRequest": "paused", "requeueRequest": "in_processing",
		"resendCall": "complete", "followRequest": "complete",
	}[operation], "fails"
	direction := record.TwoWay
	switch status {
	case "":
		s.manual(true)
		return s.submit()
	case "paused":
		answers = "halts"
	case "in_processing":
		answers = "is silent"
	case "complete":
		answers, direction = "is away", record.OneWay
	}
	s.policy([]record.Webhook{{
		ID: "pol_x", Key: answers, Name: answers, Direction: direction, ConnectionID: "con_x", ConnectionKey: "x",
	}}, nil)
	s.manual(false)
	id := s.submit()
	s.awaitStatus(id, status)
	return id
}

// answering reports what a webhook's key says.
func answering(c work.Call) dispatchertest.Report {
	switch c.Webhook.Key {
	case "fails":
		return dispatchertest.Report{Type: events.WebhookFailed}
	case "halts":
		return dispatchertest.Report{Type: events.WebhookHalted}
	case "is silent":
		return dispatchertest.Report{}
	case "is away":
		return dispatchertest.Report{Type: events.WebhookUndelivered}
	}
	return dispatchertest.Succeed(c)
}

// Every operation of the document is sent as its example shows it, and answers
// with its success, or, where there can be none, with a refusal that it names.
func TestExamples(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Spec)
	must(t, err)
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	_, err = s.catalog.Put(t.Context(), catalog.PolicyKey("default_access_policy"), catalog.Policy{
		Entry: catalog.Entry{Version: time.Now().UnixNano()},
		Policy: record.Policy{
			ID: "pol_2", Name: "Default Access Policy", Key: "default_access_policy",
			Rules: []record.Rule{{ID: "rul_2", Name: "r2", Key: "r2", ActionType: "access"}},
		},
	})
	must(t, err)
	dispatchertest.Play(t, s.js, answering)
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			t.Run(operation.OperationID, func(t *testing.T) { // one after the other: they share the service
				id := s.stage(operation.OperationID)
				call := record.WebhookCall(id, 1, record.Pre, "pol_x", 1).String()
				address := strings.NewReplacer("{privacy_request_id}", id, "{call_id}", call).Replace(path)
				for _, p := range slices.Concat(item.Parameters, operation.Parameters) {
					if shown, _ := p.Value.Example.(string); p.Value.In == openapi3.ParameterInPath && !strings.HasPrefix(shown, exampleID) {
						t.Errorf("the parameter %s has another example than %s", p.Value.Name, exampleID)
					}
				}
				status, answer := s.call(method, address, example(t, operation, id))
				fits(t, operation, status, answer)
			})
		}
	}
}

// example is the body of an operation's example, about a request that exists.
func example(t *testing.T, o *openapi3.Operation, id string) any {
	t.Helper()
	if o.RequestBody == nil {
		return nil
	}
	media := o.RequestBody.Value.Content.Get("application/json")
	if media.Example == nil {
		t.Fatal("the body has no example")
	}
	text, err := json.Marshal(media.Example)
	must(t, err)
	return json.RawMessage(strings.ReplaceAll(string(text), exampleID, id))
}

func fits(t *testing.T, o *openapi3.Operation, status int, answer []byte) {
	t.Helper()
	response := o.Responses.Value(strconv.Itoa(status))
	never := strings.HasPrefix(o.OperationID, "finalize") // no request of Parley waits for it
	if response == nil || status != http.StatusOK && !never {
		t.Fatalf("%d %s", status, answer)
	}
	if status != http.StatusOK {
		return
	}
	if response.Value.Content.Get("text/event-stream") != nil {
		if text := string(answer); !strings.HasPrefix(text, "retry: 1000\n\nid: ") || !strings.Contains(text, "event: dev.parley.request.created.v1\ndata: {") {
			t.Errorf("the stream is %s", text)
		}
		return
	}
	var body any
	must(t, json.Unmarshal(answer, &body))
	if err := response.Value.Content.Get("application/json").Schema.Value.VisitJSON(body); err != nil {
		t.Errorf("%s\ndoes not fit: %v", answer, err)
	}
	if members, isObject := body.(object); isObject && !never {
		if failed, _ := members["failed"].([]any); len(failed) > 0 {
			t.Errorf("an item of the example fails: %s", answer)
		}
	}
}
