package callback

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	openapi "github.com/parley-dsr/parley/services/callback/api"
)

// exampleID is the request that the examples of the document name.
const exampleID = "pri_029832ba-3b84-40f7-8946-82aec6f95448"

// Every operation of the document is sent as its examples show it, and answers
// with its success and a body that fits.
func TestExamples(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Spec)
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t, func(events.Event) *work.Answer {
		return &work.Answer{Accepted: true, Status: record.InProcessing, Request: json.RawMessage(
			`{"id":"` + requestID + `","created_at":"2026-05-01T08:00:00Z","started_processing_at":"2026-05-01T08:00:01Z","paused_at":null,` +
				`"status":"in_processing","external_id":null,"policy":{"name":"P","key":"p","rules":[]},"resume_endpoint":null,"days_left":44}`)}
	})
	b.halt()
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			address := b.exampleAddress(path, operation)
			for name, body := range exampleBodies(t, operation) {
				t.Run(operation.OperationID+"/"+name, func(t *testing.T) { // one after the other: they share the request
					got := b.do(method, address, b.exampleToken(operation.OperationID), body)
					fits(t, operation, got)
					if method == http.MethodPost {
						receive(t, b.facts)
					}
				})
			}
		}
	}
}

// halt puts a halt where the list of them is read.
func (b *bundle) halt() {
	b.t.Helper()
	call, now := callOf(requestID, record.Pre, 3), time.Now().UTC()
	value := fmt.Sprintf(`{"call_id":%q,"request_id":%q,"webhook_id":%q,"webhook_key":"prep","webhook_name":"Prep","since":%q,"until":%q}`,
		call, requestID, webhookID, now.Format(time.RFC3339Nano), now.Add(time.Hour).Format(time.RFC3339Nano))
	if _, err := b.bucket(topology.BucketHalted).Create(b.t.Context(), call, []byte(value), time.Hour); err != nil {
		b.t.Fatal(err)
	}
}

// exampleAddress is the path about a request that exists in place of the one
// that the document names.
func (b *bundle) exampleAddress(path string, o *openapi3.Operation) string {
	b.t.Helper()
	for _, p := range o.Parameters {
		if p.Value.In == openapi3.ParameterInPath && p.Value.Example != exampleID {
			b.t.Errorf("the parameter %s has another example than %s", p.Value.Name, exampleID)
		}
	}
	return strings.ReplaceAll(path, "{privacy_request_id}", requestID)
}

// exampleToken makes the request wait for what the operation replies, and gives
// the token for it.
func (b *bundle) exampleToken(operation string) string {
	b.t.Helper()
	switch operation {
	case "resumePrivacyRequest":
		b.put(paused())
		return b.resumeToken(nil)
	case "replyEligible", "replyNotEligible":
		b.put(asked())
		return b.reviewToken(nil)
	}
	return b.accessToken(rootID, "privacy-request:read")
}

// exampleBodies are the bodies that the document shows, by name; an operation
// without a body is sent once.
func exampleBodies(t *testing.T, o *openapi3.Operation) map[string]string {
	t.Helper()
	if o.RequestBody == nil {
		return map[string]string{"no body": ""}
	}
	media := o.RequestBody.Value.Content.Get("application/json")
	bodies := map[string]string{}
	for name, example := range media.Examples {
		if err := media.Schema.Value.VisitJSON(example.Value.Value); err != nil {
			t.Errorf("the example %q does not fit the schema: %v", name, err)
		}
		text, err := json.Marshal(example.Value.Value)
		if err != nil {
			t.Fatal(err)
		}
		bodies[name] = string(text)
	}
	if len(bodies) == 0 {
		t.Errorf("the body of %s has no example", o.OperationID)
	}
	return bodies
}

// fits compares an answer with the success that the document names.
func fits(t *testing.T, o *openapi3.Operation, got answer) {
	t.Helper()
	response := o.Responses.Value(strconv.Itoa(got.status))
	if response == nil || got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	var body any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatal(err)
	}
	if err := response.Value.Content.Get("application/json").Schema.Value.VisitJSON(body); err != nil {
		t.Errorf("%s\ndoes not fit: %v", got.body, err)
	}
	if page, isPage := body.(map[string]any); isPage && o.OperationID == "listHalted" && page["total"] != 1.0 {
		t.Errorf("the list has not the halt: %s", got.body)
	}
}
