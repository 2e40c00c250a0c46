package e2e

import (
	"bufio"
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/story"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/pkg/events"
)

// seen is a line of the example subscriber.
type seen struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	RequestID string `json:"request_id"`
	Data      struct {
		Sequence uint64 `json:"sequence"`
	} `json:"data"`
}

func (h *house) subscriber(name string, args ...string) *child {
	return &child{
		t: h.t, name: name, path: binary(h.t, "subscriber"), env: testbed.Environ(nil), log: newLog(h.t, h.dir, name),
		args: append([]string{"-nats", h.natsURL}, args...),
	}
}

// facts reads what a subscriber has printed about requests.
func (c *child) facts() []seen {
	var all []seen
	lines := bufio.NewScanner(strings.NewReader(c.log.String()))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s seen
		if json.Unmarshal(lines.Bytes(), &s) == nil && !strings.Contains(s.Type, ".config.") {
			all = append(all, s)
		}
	}
	return all
}

func (c *child) awaitCompleted(requestID string) {
	c.t.Helper()
	eventually(c.t, func() (bool, string) {
		return slices.ContainsFunc(c.facts(), func(s seen) bool {
			return s.RequestID == requestID && s.Type == events.RequestCompleted
		}), c.name + " has not seen the end of " + requestID
	})
}

// lifecycle is what a subscriber sees of the story, in stream order.
var lifecycle = []string{
	events.RequestCreated, events.RequestApproved, events.RequestStarted,
	events.WebhookRequested, events.WebhookSucceeded, // wake_up_snowflake_db
	events.WebhookRequested, events.WebhookHalted, events.RequestPaused, // prep_systems_webhook
	events.CallbackResumed, events.RequestResumed,
	events.WebhookRequested, events.WebhookSucceeded, // check_legal_hold
	events.WebhookRequested, events.WebhookSucceeded, // clear_cache
	events.RequestCompleted,
}

func checkLifecycle(t *testing.T, facts []seen, requestID string) {
	t.Helper()
	var types []string
	var last uint64
	for _, s := range facts {
		if s.RequestID != requestID {
			continue
		}
		types = append(types, s.Type)
		if s.Data.Sequence == 0 {
			continue // another service's fact
		}
		if s.Data.Sequence != last+1 {
			t.Errorf("sequence %d after %d", s.Data.Sequence, last)
		}
		last = s.Data.Sequence
	}
	if !slices.Equal(types, lifecycle) {
		t.Errorf("the subscriber saw\n%s\nwant\n%s", strings.Join(types, "\n"), strings.Join(lifecycle, "\n"))
	}
}

// TestSubscriber runs the example subscriber in a process of its own: it sees
// the whole life of a request in order, also of one that lived while it was
// away, asks for one type from a time on, and says when facts are gone that it
// has not seen.
func TestSubscriber(t *testing.T) {
	t.Parallel()
	h := setup(t, nil)
	h.startAll(serviceNames...)
	first := h.subscriber("present", "-durable", "audit")
	first.start()
	one := &story.Story{Cast: story.Published()}
	h.play(one)
	first.awaitCompleted(one.RequestID)
	checkLifecycle(t, first.facts(), one.RequestID)
	first.signal(syscall.SIGTERM)
	between := time.Now()

	two := &story.Story{Cast: story.Published(), Names: "_two"}
	h.play(two)
	again := h.subscriber("back", "-durable", "audit")
	again.start()
	again.awaitCompleted(two.RequestID)
	checkLifecycle(t, again.facts(), two.RequestID)
	if slices.ContainsFunc(again.facts(), func(s seen) bool { return s.RequestID == one.RequestID }) {
		t.Error("the subscriber was given again what it had seen")
	}
	again.signal(syscall.SIGTERM)
	late := h.subscriber("late", "-from", between.Format(time.RFC3339Nano), "-types", events.RequestCompleted)
	late.start()
	late.awaitCompleted(two.RequestID)
	if facts := late.facts(); len(facts) != 1 {
		t.Errorf("of one type, from a time on, the subscriber saw %+v", facts)
	}
	late.signal(syscall.SIGTERM)

	three := &story.Story{Cast: story.Published(), Names: "_three"}
	h.play(three)
	_, js := testbed.Connect(t, h.natsURL)
	stream, err := js.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil { // as retention does: the oldest go first
		t.Fatal(err)
	}
	gap := h.subscriber("gap", "-durable", "audit")
	gap.start()
	if err := gap.wait(); err == nil || gap.cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("after a gap the subscriber ended with %v\n%s", err, gap.log.tail())
	}
}
