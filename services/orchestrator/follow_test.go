package orchestrator_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/dispatchertest"
)

// told is one fact of a stream.
type told struct {
	id, kind string
	data     struct{ Subject, Type string }
}

// reader reads the stream of a request.
type reader struct {
	t      *testing.T
	answer *http.Response
	lines  *bufio.Scanner
}

func (s *service) follow(id, after string) *reader {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute) // nobody waits for ever
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/privacy_request/"+id+"/events", http.NoBody)
	must(s.t, err)
	r.Header.Set("Authorization", "Bearer "+s.token)
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	answer, err := s.client.Do(r)
	must(s.t, err)
	s.t.Cleanup(func() { _ = answer.Body.Close() })
	return &reader{t: s.t, answer: answer, lines: bufio.NewScanner(answer.Body)}
}

// next is the next fact; ok is false at the end of the stream.
func (r *reader) next() (f told, ok bool) {
	r.t.Helper()
	for r.lines.Scan() {
		field, value, _ := strings.Cut(r.lines.Text(), ": ")
		switch field {
		case "id":
			f.id = value
		case "event":
			f.kind = value
		case "data":
			must(r.t, json.Unmarshal([]byte(value), &f.data))
			return f, true
		}
	}
	must(r.t, r.lines.Err())
	return f, false
}

// all are the kinds until the end, or until one of the given kind.
func (r *reader) all(until string) (kinds []string, last told) {
	r.t.Helper()
	for f, ok := r.next(); ok; f, ok = r.next() {
		kinds, last = append(kinds, strings.TrimSuffix(strings.TrimPrefix(f.kind, "dev.parley."), ".v1")), f
		if f.kind == until {
			break
		}
	}
	return kinds, last
}

func TestARequestIsFollowed(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy([]record.Webhook{hook("first", record.TwoWay)}, nil)
	dispatchertest.Play(t, s.js, func(work.Call) dispatchertest.Report { return dispatchertest.Report{Type: events.WebhookHalted} })
	id := s.submit()
	stream := s.follow(id, "")
	for header, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no", "No-Gzip-Compression": "",
	} {
		if got := stream.answer.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	begin, paused := stream.all(events.RequestPaused)
	want := []string{"request.created", "request.approved", "request.started", "webhook.requested", "webhook.halted", "request.paused"}
	if !slices.Equal(begin, want) {
		t.Errorf("first %v, want %v", begin, want)
	}
	if paused.data.Subject != id || paused.data.Type != events.RequestPaused {
		t.Errorf("told %+v", paused)
	}
	other := s.follow(s.submit(), "")
	s.expect(200, "POST", "/api/v1/privacy-request/"+id+"/administrate/resume", nil, nil)
	rest, completed := stream.all("")
	if want := []string{"request.resumed", "request.completed"}; !slices.Equal(rest, want) {
		t.Errorf("then %v, want %v", rest, want)
	}
	if again, _ := s.follow(id, paused.id).all(""); !slices.Equal(again, rest) {
		t.Errorf("after the pause %v, want %v", again, rest)
	}
	if again, _ := s.follow(id, "999999999").all(""); !slices.Equal(again, append(want, rest...)) {
		t.Errorf("from a place that there is not: %v", again)
	}
	if status := s.follow(id, completed.id).answer.StatusCode; status != http.StatusNoContent {
		t.Errorf("after the end: %d", status)
	}
	if code, body := s.call("HEAD", "/api/v1/privacy-request/"+id+"/events", nil); code != http.StatusOK || len(body) != 0 { // it does not stay
		t.Errorf("HEAD: %d %s", code, body)
	}
	for after, status := range map[string]int{"x": 422, "-1": 422} {
		if got := s.follow(id, after).answer.StatusCode; got != status {
			t.Errorf("Last-Event-ID %s: %d", after, got)
		}
	}
	if status := s.follow("pri_nobody", "").answer.StatusCode; status != http.StatusNotFound {
		t.Errorf("nobody: %d", status)
	}
	if _, last := other.all(events.RequestPaused); last.kind != events.RequestPaused {
		t.Errorf("the other was told %v", last)
	}
	s.stop()
	if _, more := other.next(); more {
		t.Error("a stream goes on after the service has stopped")
	}
}
