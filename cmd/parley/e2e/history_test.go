//go:build faults

package e2e

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// told is a fact of the orchestrator about a request.
type told struct {
	name     string // without what all types have: request.created
	sequence uint64
	status   record.Status
	reason   string
	callID   string
}

// histories reads what the orchestrator has told of each request, in stream
// order.
func (s *scene) histories() map[string][]told {
	s.t.Helper()
	consumer, err := s.js.OrderedConsumer(s.t.Context(), events.StreamEvents, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{"dsr.event.request.*.*", "dsr.event.webhook.requested.*"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		s.t.Fatal(err)
	}
	defer messages.Stop()
	all := map[string][]told{}
	for {
		m, err := messages.Next(jetstream.NextMaxWait(patience))
		if err != nil {
			s.t.Fatalf("read facts: %v", err)
		}
		e, err := events.Decode(m.Headers(), m.Data())
		if err != nil {
			s.t.Fatal(err)
		}
		var data events.RequestData
		if err := e.DataAs(&data); err != nil {
			s.t.Fatal(err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(e.Type(), "dev.parley."), ".v1")
		all[e.Subject()] = append(all[e.Subject()], told{
			name: name, sequence: data.Sequence, status: record.Status(data.Status), reason: data.Reason, callID: data.CallID,
		})
		if meta, err := m.Metadata(); err != nil || meta.NumPending == 0 {
			return all
		}
	}
}

// legal are the transitions that there are, without approval by webhooks: from
// a status, by a fact, to the next status.
var legal = map[record.Status]map[string]record.Status{
	"": {"request.created": record.Pending},
	record.Pending: {
		"request.approved": record.Approved, "request.denied": record.Denied, "request.canceled": record.Canceled,
	},
	record.Approved: {"request.started": record.InProcessing, "request.failed": record.Failed},
	record.InProcessing: {
		"webhook.requested": record.InProcessing, "request.paused": record.Paused, "request.completed": record.Complete,
		"request.failed": record.Failed, "request.canceled": record.Canceled,
		"request.resumed": record.InProcessing, // it came before the halt
	},
	record.Paused: {
		"request.resumed": record.InProcessing, "request.failed": record.Failed, "request.canceled": record.Canceled,
	},
	record.Failed: {"request.retried": record.InProcessing},
}

// path follows a history: it gives the status at its end, or says where it
// leaves what is legal.
func path(history []told) (record.Status, error) {
	var at record.Status
	for i, f := range history {
		if f.sequence != uint64(i)+1 {
			return at, fmt.Errorf("fact %d has the sequence %d: %s", i+1, f.sequence, inOneLine(history))
		}
		next, ok := legal[at][f.name]
		if !ok {
			return at, fmt.Errorf("%s while %q: %s", f.name, at, inOneLine(history))
		}
		if f.name != "webhook.requested" && f.status != next {
			return at, fmt.Errorf("%s says %q, want %q: %s", f.name, f.status, next, inOneLine(history))
		}
		at = next
	}
	return at, nil
}

// inOneLine is a history in one line.
func inOneLine(history []told) string {
	names := make([]string, len(history))
	for i, f := range history {
		names[i] = fmt.Sprintf("%d %s", f.sequence, f.name)
		if f.reason != "" {
			names[i] += " (" + f.reason + ")"
		}
	}
	return strings.Join(names, ", ")
}
