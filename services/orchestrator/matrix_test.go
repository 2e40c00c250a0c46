package orchestrator_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/pkg/events"
	openapi "github.com/parley-dsr/parley/services/orchestrator/api"
	"github.com/parley-dsr/parley/services/orchestrator/internal/dispatchertest"
)

// deed is an action on one request, through HTTP, and what comes of it in a
// status that allows it and in one that does not.
type deed struct {
	name string
	do   func(s *service, id string) (int, []byte)
	in   []string // statuses that allow it
	good func(id string) verdict
	bad  func(id, status string) verdict
	// of a request that was deleted softly, and of one that does not exist
	deleted, unknown func(id string) verdict
}

// verdict is what an answer says: its HTTP status, the status of the request in
// it, or what is wrong.
type verdict struct {
	code   int
	status string
	text   string
}

// all are the statuses that a request of Parley can rest in.
func all() []string {
	return []string{
		"pending", "awaiting_pre_approval", "pre_approval_not_eligible", "in_processing", "paused",
		"complete", "denied", "canceled", "error",
	}
}

func without(statuses ...string) []string {
	return slices.DeleteFunc(all(), func(s string) bool { return slices.Contains(statuses, s) })
}

const root6 = "/api/v1/privacy-request"

// single is an action with an address of its own.
func single(name string, good verdict, bad func(id, status string) verdict, in ...string) deed {
	return deed{
		name: name, in: in, bad: bad, good: func(string) verdict { return good },
		do: func(s *service, id string) (int, []byte) { return s.call("POST", root6+"/"+id+"/"+name, nil) },
		deleted: func(id string) verdict {
			return verdict{422, "", "Privacy request with id " + id + " has been deleted."}
		},
		unknown: func(id string) verdict { return verdict{404, "", "No privacy request found with id '" + id + "'."} },
	}
}

// many is a bulk action, on one request.
func many(method, path, good string, bad func(id, status string) string, deleted string, in ...string) deed {
	return deed{
		name: path, in: in,
		do: func(s *service, id string) (int, []byte) {
			return s.call(method, root6+path, object{"request_ids": []string{id}})
		},
		good:    func(string) verdict { return verdict{200, good, ""} },
		bad:     func(id, status string) verdict { return verdict{200, "", bad(id, status)} },
		deleted: func(id string) verdict { return verdict{200, "", strings.ReplaceAll(deleted, "<id>", id)} },
		unknown: func(id string) verdict { return verdict{200, "", "No privacy request found with id '" + id + "'"} },
	}
}

func deeds() []deed {
	open := []string{"pending", "awaiting_pre_approval", "pre_approval_not_eligible"}
	transition := func(string, string) string { return "Cannot transition status" }
	restart := func(id, status string) string {
		return "Cannot restart privacy request from failure: privacy request '" + id + "' status = " + status + "."
	}
	const gone = "Cannot transition status for a deleted request"
	refused := func(format string) func(id, status string) verdict {
		return func(id, status string) verdict { return verdict{400, "", fmt.Sprintf(format, id, status)} }
	}
	resubmit := single("resubmit", verdict{200, "any", ""}, func(_, status string) verdict {
		return verdict{422, "", "Cannot resubmit a " + status + " privacy request"}
	}, without("complete", "denied", "canceled")...)
	resubmit.unknown = func(string) verdict { return verdict{404, "", "Privacy request not found"} }
	resend := single("resend", verdict{}, func(id, status string) verdict {
		if status == "denied" || status == "canceled" {
			return verdict{400, "", "Cannot resend: privacy request '" + id + "' status = " + status + "."}
		}
		return verdict{400, "", "Cannot resend: privacy request '" + id + "' has no undelivered one_way call '" + callOf(id) + "'."}
	})
	resend.do = func(s *service, id string) (int, []byte) {
		return s.call("POST", root6+"/"+id+"/delivery/"+callOf(id)+"/resend", nil)
	}
	hidden := many("POST", "/bulk/soft-delete", "any", nil, "Privacy request '<id>' has already been deleted.", all()...)
	return []deed{
		many("PATCH", "/administrate/approve", "approved", transition, gone, open...),
		many("PATCH", "/administrate/deny", "denied", transition, gone, open...),
		many("PATCH", "/administrate/cancel", "canceled", func(_, status string) string {
			return "Cannot cancel privacy request in " + status + " status"
		}, gone, without("complete", "denied", "canceled", "error")...),
		many("POST", "/bulk/retry", "in_processing", restart, "Cannot restart a deleted privacy request", "error"),
		many("POST", "/bulk/finalize", "", func(_, status string) string {
			return "Cannot manually finalize privacy request: status is " + status + ", not requires_manual_finalization"
		}, gone),
		hidden,
		single("administrate/resume", verdict{200, "in_processing", ""}, refused("Invalid resume request: privacy request '%s' status = %s."), "paused"),
		single("retry", verdict{200, "in_processing", ""}, refused("Cannot restart privacy request from failure: privacy request '%s' status = %s."), "error"),
		single("requeue", verdict{200, "in_processing", ""}, refused("Cannot re-queue privacy request %s with status %s"), "in_processing"),
		resubmit,
		single("finalize", verdict{}, refused("Cannot manually finalize privacy request '%s': status is %s, not requires_manual_finalization.")),
		single("soft-delete", verdict{200, "any", ""}, nil, all()...),
		resend,
	}
}

// callOf is a call that a request might have made.
func callOf(id string) string {
	return record.WebhookCall(id, 1, record.Pre, "pol_x", 1).String()
}

// judge reads what an answer says about its one request.
func judge(t *testing.T, code int, body []byte) verdict {
	t.Helper()
	var answer struct {
		Detail    string
		Status    string
		Succeeded []json.RawMessage
		Failed    []struct{ Message string }
	}
	if string(body) == "null\n" || string(body) == "null" {
		return verdict{code, "any", ""}
	}
	must(t, json.Unmarshal(body, &answer))
	switch {
	case len(answer.Succeeded) == 1:
		var shown struct{ Status string }
		if json.Unmarshal(answer.Succeeded[0], &shown) != nil {
			return verdict{code, "any", ""} // its id alone
		}
		return verdict{code, shown.Status, ""}
	case len(answer.Failed) == 1:
		return verdict{code, "", answer.Failed[0].Message}
	}
	return verdict{code, answer.Status, answer.Detail}
}

// policyThat stores a policy whose one webhook behaves as its key says; see
// answering.
func (s *service) policyThat(behaves, direction string) {
	s.t.Helper()
	pre := []record.Webhook{{ID: "pol_x", Key: behaves, Name: behaves, Direction: direction, ConnectionID: "con_x", ConnectionKey: "x"}}
	_, err := s.catalog.Put(s.t.Context(), catalog.PolicyKey(policyKey(behaves)), catalog.Policy{
		Entry: catalog.Entry{Version: time.Now().UnixNano()},
		Policy: record.Policy{
			ID: "pol_" + policyKey(behaves), Name: behaves, Key: policyKey(behaves),
			Rules: []record.Rule{{ID: "rul_1", Name: "r", Key: "r", ActionType: "access"}},
		},
		Pre: pre,
	})
	must(s.t, err)
}

func policyKey(behaves string) string { return strings.ReplaceAll(behaves, " ", "-") }

func (s *service) submitTo(behaves string, n int) []string {
	s.t.Helper()
	items := make([]object, n)
	for i := range items {
		items[i] = object{"policy_key": policyKey(behaves), "identity": object{"email": "a@example.com"}}
	}
	var created bulk
	s.expect(200, "POST", root6, items, &created)
	ids := make([]string, 0, n)
	for _, r := range created.Succeeded {
		ids = append(ids, r["id"].(string))
	}
	if len(ids) != n {
		s.t.Fatalf("created %d of %d: %v", len(ids), n, created.Failed)
	}
	return ids
}

// reach makes n requests in each status, through HTTP and facts alone.
func (s *service) reach(n int) map[string][]string {
	s.t.Helper()
	for _, behaves := range []string{"works", "fails", "halts", "is silent"} {
		s.policyThat(behaves, record.TwoWay)
	}
	s.manual(false)
	reached := map[string][]string{
		"complete": s.submitTo("works", n), "error": s.submitTo("fails", n),
		"paused": s.submitTo("halts", n), "in_processing": s.submitTo("is silent", n),
	}
	for status := range reached {
		s.awaitTotal(status, n)
	}
	s.manual(true)
	for _, status := range []string{"pending", "denied", "canceled"} {
		reached[status] = s.submitTo("works", n)
	}
	s.expect(200, "PATCH", root6+"/administrate/deny", object{"request_ids": reached["denied"]}, nil)
	s.expect(200, "PATCH", root6+"/administrate/cancel", object{"request_ids": reached["canceled"]}, nil)
	_, err := s.catalog.Put(s.t.Context(), catalog.KeyPreApproval, catalog.PreApproval{
		Entry: catalog.Entry{Version: 1}, Webhooks: []record.Webhook{{
			ID: "pre_legal", Key: "is silent", Name: "Legal", Direction: record.TwoWay, ConnectionID: "con_x", ConnectionKey: "x",
		}},
	})
	must(s.t, err)
	reached["awaiting_pre_approval"] = s.submitTo("works", n)
	reached["pre_approval_not_eligible"] = s.submitTo("works", n)
	for _, id := range reached["pre_approval_not_eligible"] {
		s.reply(id, events.CallbackNotEligible)
	}
	s.awaitTotal("pre_approval_not_eligible", n)
	return reached
}

// reply publishes what the pre-approval webhook replied.
func (s *service) reply(id, eventType string) {
	s.t.Helper()
	callID := record.WebhookCall(id, 1, record.PreApproval, "pre_legal", 1).String()
	e, err := events.New(events.SourceCallback, eventType, rand.Text(), id, time.Now(), events.CallbackData{CallID: callID, WebhookID: "pre_legal"})
	must(s.t, err)
	must(s.t, events.Publish(s.t.Context(), s.js, e))
}

// TestTheMatrix is every action on a request in every status that it can rest in
// (contract §7; beyond §4), and on one that was deleted or that there is not.
func TestTheMatrix(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	dispatchertest.Play(t, s.js, answering)
	table := deeds()
	reached := s.reach(len(table))
	for _, status := range all() {
		for i, d := range table {
			id := reached[status][i]
			code, body := d.do(s, id)
			var want verdict
			if slices.Contains(d.in, status) {
				want = d.good(id)
			} else {
				want = d.bad(id, status)
			}
			if got := judge(t, code, body); got != want && (want.status != "any" || got.code != want.code || got.text != "") {
				t.Errorf("%s in %s: %+v, want %+v", d.name, status, got, want)
			}
		}
	}
	s.manual(true)
	removed := s.submitTo("works", 1)[0]
	s.expect(200, "POST", root6+"/"+removed+"/soft-delete", nil, nil)
	for _, d := range table {
		for id, want := range map[string]verdict{removed: d.deleted(removed), "pri_nobody": d.unknown("pri_nobody")} {
			code, body := d.do(s, id)
			if got := judge(t, code, body); got != want {
				t.Errorf("%s on %s: %+v, want %+v", d.name, id, got, want)
			}
		}
	}
	for path, want := range map[string]int{"/log": 200, "/tasks": 200, "/delivery": 200, "/events": 200} {
		if code, body := s.call("GET", root6+"/"+removed+path, nil); code != want { // what was deleted can be looked up
			t.Errorf("%s of a deleted request: %d %s", path, code, body)
		}
		if code, body := s.call("GET", root6+"/pri_nobody"+path, nil); code != 404 || !strings.Contains(string(body), "No privacy request found with id 'pri_nobody'.") {
			t.Errorf("%s of nobody: %d %s", path, code, body)
		}
	}
}

// Every operation says which scope it takes, and takes no other.
func TestEveryOperationAsksForItsScope(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Spec)
	must(t, err)
	s := setup(t, nil)
	s.ready()
	good := s.token
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.Security != nil && len(*operation.Security) == 0 {
				continue // open
			}
			scope := (*operation.Security)[0]["oauth2"][0]
			s.token, err = token.IssueAccess(s.ring, token.Access{
				ClientID: root, Scopes: []string{"webhook:read"}, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
			})
			must(t, err)
			address := strings.NewReplacer("{privacy_request_id}", "pri_1", "{call_id}", "c").Replace(path)
			code, body := s.call(method, address, example(t, operation, "pri_1"))
			if code != http.StatusForbidden || !strings.Contains(string(body), "Required scope(s): ["+scope+"]") {
				t.Errorf("%s %s: %d %s, want %s", method, path, code, body, scope)
			}
			s.token = "nonsense"
			if code, _ := s.call(method, address, example(t, operation, "pri_1")); code != http.StatusForbidden {
				t.Errorf("%s %s with a bad token: %d", method, path, code)
			}
		}
	}
	s.token = good
}
