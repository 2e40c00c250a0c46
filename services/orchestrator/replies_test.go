package orchestrator_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator"
)

// changed stores the pre-approval webhooks and tells of it, as the config
// service does.
func (s *service) changed(version int64, keys ...string) {
	s.t.Helper()
	hooks := []record.Webhook{}
	for _, key := range keys {
		hooks = append(hooks, record.Webhook{ID: "pre_" + key, Key: key, Name: key, Direction: record.TwoWay, ConnectionID: "con_x"})
	}
	_, err := s.catalog.Put(s.t.Context(), catalog.KeyPreApproval, catalog.PreApproval{Entry: catalog.Entry{Version: version}, Webhooks: hooks})
	must(s.t, err)
	e, err := events.New(events.SourceConfig, events.ConfigPreApprovalChanged, rand.Text(), events.KeyToken("preapproval"), time.Now(),
		events.ConfigData{Noun: "preapproval", Key: "preapproval", Version: version})
	must(s.t, err)
	must(s.t, events.Publish(s.t.Context(), s.js, e))
}

// TestWebhooksThatAreLeftDecide deletes pre-approval webhooks that have not
// replied: those that are left approve, and with none left a person has to.
func TestWebhooksThatAreLeftDecide(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	s.manual(true)
	s.changed(1, "legal", "silent")
	replied, waiting := s.submit(), s.submit()
	s.awaitStatus(waiting, "awaiting_pre_approval")
	s.reply(replied, events.CallbackEligible)
	s.reply(replied, events.CallbackEligible) // refused: no second entry
	const group = "Request auto-approved by pre-approval webhooks"
	s.eventually("the reply is in the log", func() bool {
		entries, _ := s.get(replied)["results"].(object)[group].([]any)
		return len(entries) == 1 && entries[0].(object)["message"] == "Pre-approval webhook 'legal' responded: eligible"
	})
	s.changed(2, "legal")
	found := s.awaitStatus(replied, "complete")
	if entries, _ := found["results"].(object)[group].([]any); len(entries) != 1 {
		t.Errorf("entries of the reply: %v", entries)
	}
	if found := s.get(waiting); found["status"] != "awaiting_pre_approval" {
		t.Errorf("the other is %v", found["status"])
	}
	s.changed(3)
	s.awaitStatus(waiting, "pending")
	s.eventually("the reason is in the log", func() bool {
		entries, _ := s.get(waiting)["results"].(object)["Request pending"].([]any)
		return len(entries) == 1 && strings.HasPrefix(entries[0].(object)["message"].(string), "No pre-approval webhook is left")
	})
}

// TestAnExecutorMaySayAnything: what it says does not hold up the request and its
// row in the database.
func TestAnExecutorMaySayAnything(t *testing.T) {
	t.Parallel()
	s := setup(t, func(o *orchestrator.Settings) { o.Execution = orchestrator.ExecutionExternal })
	s.ready()
	s.policy(nil, nil)
	id := s.submit()
	s.awaitStatus(id, "in_processing")
	execution := record.ExecutionCall(id, 1, "access", 1).String()
	for _, eventType := range []string{events.ExecutionProgressed, events.ExecutionFailed} {
		e, err := events.New(events.SourceExecutor, eventType, rand.Text(), id, time.Now(), events.ExecutionData{
			ExecutionID: execution, Action: "access", Message: "table\x00 7\r\n" + strings.Repeat("ä", 100_000),
		})
		must(t, err)
		must(t, events.Publish(t.Context(), s.js, e))
	}
	s.awaitStatus(id, "error")
	s.eventually("both are in the log", func() bool {
		var log struct {
			Items []struct{ Message, Status string }
		}
		s.expect(200, "GET", root6+"/"+id+"/log", nil, &log)
		for _, i := range log.Items {
			if !strings.HasPrefix(i.Message, "table 7 ää") || utf8.RuneCountInString(i.Message) != 1000 {
				t.Fatalf("the log has %q", i.Message)
			}
		}
		return len(log.Items) == 2
	})
}
