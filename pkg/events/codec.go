package events

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/nats-io/nats.go"
)

// Headers of the CloudEvents NATS binding. Names of NATS headers keep their
// case.
const (
	headerPrefix      = "ce-"
	headerContentType = "content-type"
	headerMsgID       = nats.MsgIdHdr

	specVersion           = cloudevents.CloudEventsVersionV1
	contentTypeStructured = "application/cloudevents+json"
)

// Encode gives the message that carries the fact, in binary mode: attributes in
// ce-… headers, the data as it is. The stream knows repeats by Nats-Msg-Id,
// which is the id of the event.
func Encode(e Event) (*nats.Msg, error) {
	if e.Context == nil {
		return nil, fmt.Errorf("%w: it has no attributes", ErrEvent)
	}
	c := e.Context.AsV1()
	if c.ID == "" || c.Subject == nil {
		return nil, fmt.Errorf("%w: it has no id or no subject", ErrEvent)
	}
	subject, err := Subject(c.Type, *c.Subject)
	if err != nil {
		return nil, err
	}
	h := make(nats.Header, 10+len(c.Extensions))
	put := func(name, value string) { h[name] = []string{escape(value)} }
	put("ce-specversion", specVersion)
	put("ce-id", c.ID)
	put("ce-source", c.Source.String())
	put("ce-type", c.Type)
	put("ce-subject", *c.Subject)
	if c.Time != nil {
		put("ce-time", types.FormatTime(c.Time.Time))
	}
	if c.DataSchema != nil {
		put("ce-dataschema", c.DataSchema.String())
	}
	for name, value := range c.Extensions {
		text, err := types.Format(value)
		if err != nil {
			return nil, fmt.Errorf("%w: attribute %s: %w", ErrEvent, name, err)
		}
		put(headerPrefix+name, text)
	}
	if c.DataContentType != nil {
		h[headerContentType] = []string{*c.DataContentType}
	}
	h[headerMsgID] = []string{c.ID}
	return &nats.Msg{Subject: subject, Header: h, Data: e.DataEncoded}, nil
}

// Decode reads a fact from a message, in binary or in structured mode. Headers
// that are no attributes are ignored, and so are the letters' cases in names.
// The error is ErrEvent.
func Decode(header nats.Header, data []byte) (Event, error) {
	contentType := headerValue(header, headerContentType)
	media, _, _ := strings.Cut(contentType, ";")
	if strings.EqualFold(strings.TrimSpace(media), contentTypeStructured) {
		return decodeStructured(data)
	}
	return decodeBinary(header, contentType, data)
}

func decodeStructured(data []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(data, &e); err != nil {
		return Event{}, fmt.Errorf("%w: not a CloudEvent in JSON", ErrEvent)
	}
	if err := e.Validate(); err != nil {
		return Event{}, fmt.Errorf("%w: an attribute is missing or malformed", ErrEvent)
	}
	return e, nil
}

func decodeBinary(header nats.Header, contentType string, data []byte) (Event, error) {
	c := &cloudevents.EventContextV1{}
	if contentType != "" {
		c.DataContentType = &contentType
	}
	version := ""
	for key, values := range header {
		name, ok := attributeName(key)
		if !ok || len(values) == 0 {
			continue
		}
		value := unescape(values[0])
		if name == "specversion" {
			version = value
			continue
		}
		if err := setAttribute(c, name, value); err != nil {
			return Event{}, fmt.Errorf("%w: attribute %s is malformed", ErrEvent, name)
		}
	}
	switch {
	case version == "":
		return Event{}, fmt.Errorf("%w: not a CloudEvent", ErrEvent)
	case version != specVersion:
		return Event{}, fmt.Errorf("%w: CloudEvents version %q is not known", ErrEvent, version)
	case c.ID == "", c.Type == "", c.Source.String() == "":
		return Event{}, fmt.Errorf("%w: it has no id, no type or no source", ErrEvent)
	}
	return Event{Context: c, DataEncoded: data}, nil
}

func setAttribute(c *cloudevents.EventContextV1, name, value string) error {
	switch name {
	case "id":
		c.ID = value
	case "type":
		c.Type = value
	case "subject":
		c.Subject = &value
	case "datacontenttype":
		c.DataContentType = &value
	case "source":
		uri, err := url.Parse(value)
		if err != nil {
			return err
		}
		c.Source = types.URIRef{URL: *uri}
	case "dataschema":
		uri, err := url.Parse(value)
		if err != nil {
			return err
		}
		c.DataSchema = &types.URI{URL: *uri}
	case "time":
		at, err := types.ParseTime(value)
		if err != nil {
			return err
		}
		c.Time = &types.Timestamp{Time: at}
	default:
		return c.SetExtension(name, value)
	}
	return nil
}

func attributeName(key string) (string, bool) {
	if len(key) <= len(headerPrefix) || !strings.EqualFold(key[:len(headerPrefix)], headerPrefix) {
		return "", false
	}
	return strings.ToLower(key[len(headerPrefix):]), true
}

func headerValue(header nats.Header, name string) string {
	if values := header[name]; len(values) > 0 {
		return values[0]
	}
	for key, values := range header {
		if len(values) > 0 && strings.EqualFold(key, name) {
			return values[0]
		}
	}
	return ""
}

// escape encodes what may not stand in a header as the binding says: everything
// but the printable characters of ASCII, and of these space, quote and percent.
func escape(s string) string {
	for i := range len(s) {
		if mustEscape(s[i]) {
			return escapeFrom(s, i)
		}
	}
	return s
}

func escapeFrom(s string, i int) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 8)
	b.WriteString(s[:i])
	for ; i < len(s); i++ {
		if c := s[i]; mustEscape(c) {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func mustEscape(c byte) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '%' }

// unescape leaves alone what is not an escape: senders that do not encode are
// read as they are.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	if text, err := url.PathUnescape(s); err == nil {
		return text
	}
	return s
}
