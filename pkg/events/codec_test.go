package events

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

var at = time.Date(2026, 7, 1, 12, 0, 0, 123_456_789, time.FixedZone("", 2*3600))

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func example(t testing.TB) Event {
	t.Helper()
	e, err := New(SourceDispatcher, WebhookHalted, "pri_1.3.a1b2.0", "pri_1", at, WebhookData{CallID: "pri_1-1-pre-pol_1-1", Run: 1})
	if err != nil {
		t.Fatal(err)
	}
	SetTraceParent(&e, trace)
	return e
}

func TestEncode(t *testing.T) {
	t.Parallel()
	e := example(t)
	msg, err := Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"ce-specversion": "1.0",
		"ce-id":          "pri_1.3.a1b2.0",
		"ce-source":      "/parley/dispatcher",
		"ce-type":        "dev.parley.webhook.halted.v1",
		"ce-subject":     "pri_1",
		"ce-time":        "2026-07-01T10:00:00.123456789Z",
		"ce-dataschema":  "https://parley-dsr.dev/schemas/webhook.halted.v1.json",
		"ce-traceparent": trace,
		"content-type":   "application/json",
		"Nats-Msg-Id":    "pri_1.3.a1b2.0",
	}
	for name, value := range want {
		if got := msg.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if len(msg.Header) != len(want) {
		t.Errorf("headers: %v", msg.Header)
	}
	if msg.Subject != "dsr.event.webhook.halted.pri_1" {
		t.Errorf("subject %s", msg.Subject)
	}
	if err := e.Validate(); err != nil {
		t.Errorf("the SDK does not take it: %v", err)
	}
}

func TestBothModesGiveBackTheEvent(t *testing.T) {
	t.Parallel()
	e := example(t)
	msg, err := Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	structured, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	cased := nats.Header{}
	for name, values := range msg.Header {
		cased[strings.ToUpper(name)] = values
	}
	for name, m := range map[string]struct {
		header nats.Header
		data   []byte
	}{
		"binary":                  {msg.Header, msg.Data},
		"binary, other case":      {cased, msg.Data},
		"structured":              {nats.Header{"content-type": {"application/cloudevents+json"}}, structured},
		"structured with charset": {nats.Header{"Content-Type": {"application/cloudevents+json; charset=utf-8"}}, structured},
	} {
		got, err := Decode(m.header, m.data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.String() != e.String() || TraceParent(got) != trace {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, e)
		}
		var data WebhookData
		if err := got.DataAs(&data); err != nil || data.CallID != "pri_1-1-pre-pol_1-1" {
			t.Errorf("%s: data %+v, %v", name, data, err)
		}
	}
}

func TestAttributesWithSigns(t *testing.T) {
	t.Parallel()
	e := example(t)
	const text = "100 % \"süß\"\r\nNats-Msg-Id: x"
	if err := e.Context.SetExtension("note", text); err != nil {
		t.Fatal(err)
	}
	msg, err := Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	if value := msg.Header.Get("ce-note"); strings.ContainsAny(value, " \r\n\"ü") {
		t.Errorf("header %q", value)
	}
	got, err := Decode(msg.Header, msg.Data)
	if err != nil || got.Extensions()["note"] != text {
		t.Errorf("extensions %v, %v", got.Extensions(), err)
	}
	msg.Header.Set("ce-note", "50%")
	if got, err = Decode(msg.Header, msg.Data); err != nil || got.Extensions()["note"] != "50%" {
		t.Errorf("a sender that does not escape: %v, %v", got.Extensions(), err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	whole := func() nats.Header {
		return nats.Header{"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/s"}, "ce-type": {"t"}}
	}
	if _, err := Decode(whole(), nil); err != nil {
		t.Fatalf("the least that is needed: %v", err)
	}
	without := func(name string) nats.Header { h := whole(); h.Del(name); return h }
	with := func(name, value string) nats.Header { h := whole(); h.Set(name, value); return h }
	structured := nats.Header{"content-type": {"application/cloudevents+json"}}
	for name, m := range map[string]struct {
		header nats.Header
		data   string
	}{
		"no headers":            {nil, "{}"},
		"no version":            {without("ce-specversion"), ""},
		"no id":                 {without("ce-id"), ""},
		"no source":             {without("ce-source"), ""},
		"no type":               {without("ce-type"), ""},
		"an old version":        {with("ce-specversion", "0.3"), ""},
		"a bad time":            {with("ce-time", "yesterday"), ""},
		"a bad source":          {with("ce-source", "%zz"), ""},
		"a bad schema":          {with("ce-dataschema", ":"), ""},
		"a bad name":            {with("ce-a-b", "x"), ""},
		"structured, no JSON":   {structured, "secret"},
		"structured, no id":     {structured, `{"specversion":"1.0","source":"/s","type":"t"}`},
		"structured, an array":  {structured, `[]`},
		"structured, no object": {structured, ``},
	} {
		_, err := Decode(m.header, []byte(m.data))
		if !errors.Is(err, ErrEvent) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the text repeats the data: %v", name, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source, eventType, id, request string
		data                           any
		want                           error
	}{
		"a foreign type":           {SourceConfig, "com.example.x.v1", "1", "pri_1", nil, ErrType},
		"a type without a version": {SourceConfig, "dev.parley.request.created", "1", "pri_1", nil, ErrType},
		"a wildcard as request":    {SourceConfig, RequestCreated, "1", "*", nil, ErrSubject},
		"no request":               {SourceConfig, RequestCreated, "1", "", nil, ErrSubject},
		"no id":                    {SourceConfig, RequestCreated, "", "pri_1", nil, ErrEvent},
		"no source":                {"", RequestCreated, "1", "pri_1", nil, ErrEvent},
		"data that is no JSON":     {SourceConfig, RequestCreated, "1", "pri_1", math.Inf(1), ErrEvent},
	} {
		if _, err := New(c.source, c.eventType, c.id, c.request, at, c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Encode(Event{}); !errors.Is(err, ErrEvent) {
		t.Errorf("encode of nothing: %v", err)
	}
}

func TestNoTraceIsNoAttribute(t *testing.T) {
	t.Parallel()
	e, err := New(SourceConfig, RequestCreated, "1", "pri_1", at, nil)
	if err != nil {
		t.Fatal(err)
	}
	SetTraceParent(&e, "")
	SetTraceParent(&Event{}, trace) // must not panic
	if TraceParent(e) != "" || TraceParent(Event{}) != "" || len(e.Extensions()) != 0 {
		t.Errorf("extensions %v", e.Extensions())
	}
}

func FuzzDecode(f *testing.F) {
	msg, err := Encode(example(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("ce-id", "%", string(msg.Data))
	f.Add("content-type", "application/cloudevents+json", `{"specversion":"1.0"}`)
	f.Fuzz(func(t *testing.T, name, value, data string) {
		header := nats.Header{}
		for k, v := range msg.Header {
			header[k] = v
		}
		header[name] = []string{value}
		e, err := Decode(header, []byte(data))
		if err != nil {
			if !errors.Is(err, ErrEvent) {
				t.Fatal(err)
			}
			return
		}
		_ = TraceParent(e)
		_ = sequenceOf(e)
	})
}

func BenchmarkEncode(b *testing.B) {
	for b.Loop() {
		e, err := New(SourceDispatcher, WebhookHalted, "pri_1.3.a1b2.0", "pri_1", at, WebhookData{CallID: "pri_1-1-pre-pol_1-1", Run: 1})
		if err != nil {
			b.Fatal(err)
		}
		SetTraceParent(&e, trace)
		if _, err := Encode(e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	msg, err := Encode(example(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Decode(msg.Header, msg.Data); err != nil {
			b.Fatal(err)
		}
	}
}
