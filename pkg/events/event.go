package events

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// Event is a fact as a CloudEvent, version 1.0. DataAs decodes its data into
// RequestData, WebhookData, CallbackData, ExecutionData or ConfigData.
type Event = cloudevents.Event

const (
	contentTypeJSON = "application/json"
	schemaHost      = "parley-dsr.dev"
	schemaPath      = "/schemas/"
	extTraceParent  = "traceparent"
)

// New makes a fact. The id must be the same each time the same fact is
// published: it is how streams and consumers know a repeat. The requestID
// becomes the attribute subject; facts about configuration have the token of
// the changed key there. Errors are ErrType, ErrSubject and ErrEvent.
func New(source, eventType, id, requestID string, at time.Time, data any) (Event, error) {
	if _, err := Subject(eventType, requestID); err != nil {
		return Event{}, err
	}
	if id == "" {
		return Event{}, fmt.Errorf("%w: the id is empty", ErrEvent)
	}
	uri, err := url.Parse(source)
	if err != nil || source == "" {
		return Event{}, fmt.Errorf("%w: the source is not a URI reference", ErrEvent)
	}
	schema := url.URL{
		Scheme: "https",
		Host:   schemaHost,
		Path:   schemaPath + strings.TrimPrefix(eventType, typePrefix) + ".json",
	}
	body, err := json.Marshal(data)
	if err != nil {
		return Event{}, fmt.Errorf("%w: data of %s: %w", ErrEvent, eventType, err)
	}
	contentType := contentTypeJSON
	return Event{
		Context: &cloudevents.EventContextV1{
			ID:              id,
			Source:          types.URIRef{URL: *uri},
			Type:            eventType,
			Subject:         &requestID,
			Time:            &types.Timestamp{Time: at.UTC()},
			DataContentType: &contentType,
			DataSchema:      &types.URI{URL: schema},
		},
		DataEncoded: body,
	}, nil
}

// SetTraceParent makes the fact part of a trace (W3C traceparent). An empty one
// is left out.
func SetTraceParent(e *Event, traceParent string) {
	if traceParent != "" && e.Context != nil {
		// The name is valid and so is a string: there is no error to have.
		_ = e.Context.SetExtension(extTraceParent, traceParent)
	}
}

// TraceParent is the W3C traceparent of the fact, or "".
func TraceParent(e Event) string {
	if e.Context == nil {
		return ""
	}
	value, err := e.Context.GetExtension(extTraceParent)
	if err != nil {
		return ""
	}
	text, _ := value.(string)
	return text
}
