package allinone_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-dsr/parley/cmd/parley/internal/allinone"
	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/cmd/parley/internal/story"
	"github.com/parley-dsr/parley/internal/process"
)

// watched is a parley serve in this process, in which the story is played.
type watched struct {
	info  allinone.Info
	tale  *story.Story
	spans *tracetest.SpanRecorder
	stop  func()

	registries map[string]*prometheus.Registry
	log        *lines
}

func watch(t *testing.T) *watched {
	t.Helper()
	listener, err := process.Socket(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rec, err := receiver.Start(receiver.Options{Dir: t.TempDir(), Origin: "http://" + listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rec.Close() })
	w := &watched{spans: tracetest.NewSpanRecorder(), tale: &story.Story{Cast: story.Published(), Receiver: rec}}
	w.registries, w.log = map[string]*prometheus.Registry{}, &lines{}
	for _, name := range []string{"config", "orchestrator", "dispatcher", "callback"} {
		w.registries[name] = process.NewRegistry("test")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan allinone.Info, 1), make(chan error, 1)
	go func() {
		ended <- allinone.Run(ctx, allinone.Options{
			Environ: map[string]string{
				"PARLEY_DATA_DIR": t.TempDir(), "PARLEY_NATS_ADDR": "127.0.0.1:0", "PARLEY_EGRESS_CA_FILE": rec.CAFile(),
				"PARLEY_LOG_LEVEL": "debug", "PARLEY_LOG_FORMAT": "json",
			},
			Registry: func(name string) *prometheus.Registry { return w.registries[name] },
			Log:      w.log, Listener: listener, Ready: func(i allinone.Info) { ready <- i },
			Traces: func(string) trace.TracerProvider { return sdk.NewTracerProvider(sdk.WithSpanProcessor(w.spans)) },
		})
	}()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("parley serve ended with %v", err)
		}
		ended <- nil
	}
	t.Cleanup(w.stop)
	select {
	case w.info = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatalf("parley serve did not start: %v", err)
	}
	if err := w.tale.Open(t.Context(), w.info.Origin, w.info.RootClientID, w.info.RootClientSecret); err != nil {
		t.Fatal(err)
	}
	if err := w.tale.Play(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestTheStoryIsWatched plays the story once and looks at what an operator would
// see of it.
func TestTheStoryIsWatched(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.stop()
	t.Run("one trace, and the resume linked", func(t *testing.T) { t.Parallel(); oneTrace(t, w) })
	t.Run("logs name request, call and trace", func(t *testing.T) { t.Parallel(); logsTell(t, w) })
	t.Run("alerts are of metrics that exist", func(t *testing.T) { t.Parallel(); alertsExist(t, w) })
}

// oneTrace: from the REST call over every
// fact to the call that goes out it is one trace, whose parts hang together.
// What the resume leads to is another one, linked to the first.
func oneTrace(t *testing.T, w *watched) {
	t.Helper()
	spans := w.spans.Ended()

	first := theOne(t, spans, "POST /api/v1/privacy-request")
	if first.Parent().IsValid() || first.SpanKind() != trace.SpanKindServer {
		t.Errorf("the submission is no root: %v", first.Parent())
	}
	submitted := inTrace(spans, first)
	hangTogether(t, submitted, first)
	want(t, submitted,
		"command submit", "transition command submit", "publish request.created", "publish request.approved", "publish request.started",
		"publish webhook.requested", "attempt", "POST", "publish webhook.succeeded", "transition webhook.succeeded",
		"publish webhook.halted", "transition webhook.halted", "publish request.paused", "process request.paused")

	resume := theOne(t, spans, "POST /api/v1/privacy-request/{privacy_request_id}/resume")
	if resume.Parent().IsValid() || resume.SpanContext().TraceID() == first.SpanContext().TraceID() {
		t.Error("the resume is no trace of its own")
	}
	linked(t, resume, first)
	resumed := inTrace(spans, resume)
	hangTogether(t, resumed, resume)
	want(t, resumed,
		"publish callback.resumed", "transition callback.resumed", "publish request.resumed", "process request.resumed",
		"attempt", "POST", "transition webhook.succeeded", "publish request.completed")
	linked(t, named(resumed, "transition callback.resumed")[0], first)

	calls := w.tale.Calls()
	for i, in := range [][]sdk.ReadOnlySpan{submitted, submitted, resumed, resumed} {
		if parent := calls[i].Header.Get("Traceparent"); !isCall(in, parent) {
			t.Errorf("call %d says %q, which is no call of its trace", i, parent)
		}
	}
	for _, span := range spans {
		impersonal(t, span, w.tale.Cast)
	}
}

// logsTell: what a request did stands in the log of
// each service that had to do with it, under its id, that of the call, and that
// of the trace.
func logsTell(t *testing.T, w *watched) {
	t.Helper()
	told := map[string]bool{}
	for _, line := range w.log.read(t) {
		if line["request_id"] == w.tale.RequestID && line["trace_id"] != nil && line["call_id"] != nil {
			told[fmt.Sprint(line["service"])] = true
		}
	}
	for _, service := range []string{"orchestrator", "dispatcher", "callback"} {
		if !told[service] {
			t.Errorf("%s says nothing of the request with its call and its trace", service)
		}
	}
}

// lines is a log in memory.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) read(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []map[string]any
	for decoder := json.NewDecoder(bytes.NewReader(l.text.Bytes())); decoder.More(); {
		var line map[string]any
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
	return all
}

func theOne(t *testing.T, spans []sdk.ReadOnlySpan, name string) sdk.ReadOnlySpan {
	t.Helper()
	found := named(spans, name)
	if len(found) != 1 {
		t.Fatalf("%d spans are called %s", len(found), name)
	}
	return found[0]
}

func named(spans []sdk.ReadOnlySpan, name string) []sdk.ReadOnlySpan {
	return slices.Collect(func(yield func(sdk.ReadOnlySpan) bool) {
		for _, s := range spans {
			if s.Name() == name && !yield(s) {
				return
			}
		}
	})
}

func inTrace(spans []sdk.ReadOnlySpan, of sdk.ReadOnlySpan) []sdk.ReadOnlySpan {
	return slices.DeleteFunc(slices.Clone(spans), func(s sdk.ReadOnlySpan) bool {
		return s.SpanContext().TraceID() != of.SpanContext().TraceID()
	})
}

// hangTogether checks that every span but the root has its parent among them.
func hangTogether(t *testing.T, spans []sdk.ReadOnlySpan, root sdk.ReadOnlySpan) {
	t.Helper()
	known := map[trace.SpanID]bool{}
	for _, s := range spans {
		known[s.SpanContext().SpanID()] = true
	}
	for _, s := range spans {
		if s != root && !known[s.Parent().SpanID()] {
			t.Errorf("the parent of %q is not in its trace", s.Name())
		}
	}
}

func want(t *testing.T, spans []sdk.ReadOnlySpan, names ...string) {
	t.Helper()
	for _, name := range names {
		if len(named(spans, name)) == 0 {
			t.Errorf("the trace has no %q", name)
		}
	}
}

func linked(t *testing.T, span, to sdk.ReadOnlySpan) {
	t.Helper()
	if !slices.ContainsFunc(span.Links(), func(l sdk.Link) bool { return l.SpanContext.TraceID() == to.SpanContext().TraceID() }) {
		t.Errorf("%q has no link to the trace before: %v", span.Name(), span.Links())
	}
}

func isCall(spans []sdk.ReadOnlySpan, traceParent string) bool {
	return slices.ContainsFunc(spans, func(s sdk.ReadOnlySpan) bool {
		c := s.SpanContext()
		return s.SpanKind() == trace.SpanKindClient && traceParent == "00-"+c.TraceID().String()+"-"+c.SpanID().String()+"-01"
	})
}

func impersonal(t *testing.T, span sdk.ReadOnlySpan, cast story.Cast) {
	t.Helper()
	text := span.Name() + " " + span.Status().Description
	for _, a := range span.Attributes() {
		text += " " + a.Value.String()
	}
	for _, secret := range []string{cast.Email, cast.Phone, cast.DerivedEmail, cast.ExternalID, cast.Authorization} {
		if strings.Contains(text, secret) {
			t.Errorf("the span %q tells of a person, or a secret", span.Name())
		}
	}
}
