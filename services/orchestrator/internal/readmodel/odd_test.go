package readmodel_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

// TestOddRecordsKeepNoOtherOut: whatever lies in the bucket, as a hand or
// another version may have put it there, the records beside it are shown.
func TestOddRecordsKeepNoOtherOut(t *testing.T) {
	t.Parallel()
	f := feed(t)
	for i, odd := range []string{
		`{"id":"pri_odd","revision":1,"status":"pending","status":"paused"}`,
		"{\"id\":\"pri_odd\",\"revision\":1,\"status\":\"\xff\"}",
		`{"id":"pri_odd","revision":1,"status":"\ud800"}`,
		`{"id":"pri_odd","revision":1,"later":"\u0000"}`,
		`{"id":"pri_odd","revision":1,"status":null,"policy":null,"run":null,"submission":null,"wait":null,"outbox":null}`,
		`{"id":"pri_odd","revision":18446744073709551615}`,
		`{"id":"pri_odd","revision":1,"later":1e999999}`,
		`{"id":"pri_odd","revision":1,"created_at":"0000-01-01T00:00:00Z"}`,
		`{"id":"pri_another","revision":1}`,
		`{"id":"pri_odd","revision":1,"later":{"a":[1,{"a":2}]}}`,
		``,
		`[1]`,
	} {
		f.put(t, request(fmt.Sprintf("pri_%d", i), 1, record.Paused), 0)
		id := fmt.Sprintf("pri_odd%d", i)
		_, err := f.bucket.Put(t.Context(), id, []byte(strings.ReplaceAll(odd, "pri_odd", id)), 0)
		must(t, err)
	}
	f.put(t, request("pri_last", 1, record.Paused), 0)
	eventually(t, "all others are shown", func() bool {
		_, total, err := f.store.Search(t.Context(), readmodel.Filter{IdentityHashes: []string{"h1"}}, readmodel.Order{}, 1, 50)
		must(t, err)
		return total == 13
	})
	if got := status(t, f.store, "pri_odd0"); got != record.Paused {
		t.Errorf("of two statuses the last counts: %s", got)
	}
}

// TestOddFactsKeepNoOtherOut: executors are other people's programs.
func TestOddFactsKeepNoOtherOut(t *testing.T) {
	t.Parallel()
	f := feed(t)
	publish := func(eventType, id, at, data string) {
		t.Helper()
		verb := strings.TrimSuffix(strings.TrimPrefix(eventType, "dev.parley."), ".v1")
		_, err := f.js.PublishMsg(t.Context(), &nats.Msg{Subject: "dsr.event." + verb + ".pri_1", Header: nats.Header{
			"ce-specversion": {"1.0"}, "ce-id": {id}, "ce-source": {"/x"}, "ce-type": {eventType}, "ce-subject": {"pri_1"},
			"ce-time": {at}, "content-type": {"application/json"},
		}, Data: []byte(data)})
		must(t, err)
	}
	const now, done = "2026-01-01T00:00:00Z", `{"action":"access"}`
	for _, odd := range []struct{ eventType, id, at, data string }{
		{events.ExecutionCompleted, "the year 10000", "9999-12-31T23:59:59-01:00", done},
		{events.ExecutionCompleted, "year 0", "0000-01-01T00:00:00Z", done},
		{events.WebhookAttempted, "a NUL", now, `{"call_id":"\u0000","webhook":{"id":"\u0000"}}`},
		{events.WebhookAttempted, "a huge number", now, `{"attempt":99999999999,"webhook":{}}`},
		{events.WebhookAttempted, "no data", now, ``},
		{events.WebhookAttempted, "a list", now, `[]`},
	} {
		publish(events.ExecutionCompleted, "before "+odd.id, now, done)
		publish(odd.eventType, odd.id, odd.at, odd.data)
	}
	seen := func() int {
		log, err := f.store.Log(t.Context(), []string{"pri_1"})
		must(t, err)
		return len(log["pri_1"])
	}
	eventually(t, "all others are shown", func() bool { return seen() == 6 })
	publish(events.ExecutionCompleted, "the last", "0000-01-01T00:00:00Z", done)
	eventually(t, "what is left out is passed, also in the database", func() bool {
		left, place, err := f.events.Left(t.Context())
		must(t, err)
		position, _, err := f.store.FeedSeen(t.Context(), readmodel.FeedEvents)
		must(t, err)
		return left == 0 && place == 13 && position == place
	})
	if n := seen(); n != 6 {
		t.Errorf("%d entries", n)
	}
}

// TestEveryZoneIsShown: Postgres refuses a time in a zone more than 15 hours off.
// What had been left out for that was a request that ran and that nobody saw.
func TestEveryZoneIsShown(t *testing.T) {
	t.Parallel()
	s := open(t)
	far := time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 16*60*60))
	rec := request("pri_1", 1, record.Pending)
	rec.Submission.StartedProcessingAt, rec.Submission.FinishedAt = &far, &far
	b := readmodel.Batch{Records: []*record.Record{rec}}
	for _, eventType := range []string{events.ExecutionCompleted, events.WebhookAttempted} {
		e, err := events.New(events.SourceExecutor, eventType, eventType, "pri_1", far, struct{}{})
		must(t, err)
		must(t, b.AddFact(e))
	}
	must(t, s.Project(t.Context(), b))
	_, err := s.Record(t.Context(), "pri_1")
	must(t, err)
	log, err := s.Log(t.Context(), []string{"pri_1"})
	must(t, err)
	if entries := log["pri_1"]; len(entries) != 2 || !entries[0].At.Equal(far) {
		t.Errorf("log: %+v", entries)
	}
}
