package record

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/stored"
)

// midway is a record in the middle of a run, with everything that one may have.
func midway() Record {
	text := func(s string) *string { return &s }
	at := time.Date(2024, 8, 1, 14, 38, 32, 499588123, time.UTC)
	hook := Webhook{ID: "web_1", Key: "derive", Name: "Ask & <tell>", Direction: TwoWay, ConnectionID: "con_1", ConnectionKey: "crm"}
	recipe := func(kind RecipeKind, id string) Recipe {
		return Recipe{
			ID: "pri_1.3.epoch." + id, Kind: kind, Type: "dev.parley.webhook.requested.v1", Time: at, Sequence: 3,
			Status: InProcessing, CallID: "pri_1_1_pre_web_1_1", Webhook: &hook, Until: &at, Message: "two\nlines \u2028",
		}
	}
	r := sample()
	r.Revision, r.Epoch, r.Sequence, r.CreatedAt, r.UpdatedAt, r.ReviewedBy = 3, "epoch", 4, at, at, text("client")
	r.Submission.RequestedAt, r.StartedAt = at, &at
	r.Submission.CustomFieldHashes = map[string][]string{"1": {"b"}, "0": {"a", "c"}}
	r.Run = Run{Number: 1, Step: PreWebhooks, Order: 1, Pre: []Webhook{hook}, Post: []Webhook{hook, hook}}
	r.Wait = &Wait{Kind: WaitCall, CallID: "pri_1_1_pre_web_1_1", Since: at, Until: at}
	r.Repliers = []Replier{{Webhook: hook, CallID: "pri_1_1_preapproval_web_1_2", Reply: "eligible", Gone: true}}
	r.Undelivered = []Undelivered{{CallID: "pri_1_1_post_web_1_3", Webhook: hook}}
	r.EarlyResume = &EarlyResume{CallID: "pri_1_1_pre_web_1_1", StagedKey: "pri_1.KEY"}
	r.Staged, r.Commands = []string{"pri_1.KEY"}, []string{"a", "b"}
	r.Outbox = []Recipe{recipe(RecipeFact, "0"), recipe(RecipeCall, "1")}
	return r
}

func TestRecordsAreStoredAsBefore(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]Record{"full": midway(), "empty": {}, "without rules": {Policy: Policy{Rules: []Rule{}}}} {
		want, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		}
		back, err := Decode(got)
		if err != nil {
			t.Fatal(err)
		}
		var slow Record
		if err := json.Unmarshal(want, &slow); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slow, *back); diff != "" {
			t.Errorf("%s (-encoding/json +Decode):\n%s", name, diff)
		}
	}
}

// What another version has written, with members that this one does not know,
// or that is a row of the database, can be read.
func TestRecordsOfOthersAreRead(t *testing.T) {
	t.Parallel()
	r, err := Decode([]byte(` {"id": "pri_1", "new": {"a": [1, {}]}, "staged": null, "wait": null, "status": "paused",
		"created_at": "2024-08-01T14:38:32.5+02:00", "policy": {"rules": null}} `))
	if err != nil || r.ID != "pri_1" || r.Status != Paused || r.Wait != nil || r.CreatedAt.UTC().Hour() != 12 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"", "null x", "[]", `{"id":1}`, `{"id":"secret"`, `{"created_at":"secret"}`} {
		if _, err := Decode([]byte(bad)); !errors.Is(err, stored.ErrUnreadable) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	r := midway()
	data, err := r.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encoding/json", func(b *testing.B) {
		for b.Loop() {
			if err := json.Unmarshal(data, new(Record)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Decode", func(b *testing.B) {
		for b.Loop() {
			if _, err := Decode(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
