package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parley-dsr/parley/cmd/parley/internal/cli"
	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// office is a parley serve in which a person decides over requests, and one
// two_way webhook that is asked before they are executed.
type office struct {
	*installation
	receiver *receiver.Receiver
}

const legalHold = "/legal-hold"

func openOffice(t *testing.T) *office {
	t.Helper()
	environ := map[string]string{
		"PARLEY_DATA_DIR": filepath.Join(t.TempDir(), "data"), "PARLEY_NATS_ADDR": testbed.FreeAddr(t), "PARLEY_NATS_SYNC": "1m",
		"PARLEY_REQUIRE_MANUAL_APPROVAL": "true", "PARLEY_LOG_LEVEL": "warn",
	}
	o := &office{installation: serve(t, environ)}
	called, err := receiver.Start(receiver.Options{Dir: t.TempDir(), Plain: true, Origin: o.info.Origin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = called.Close() })
	o.receiver = called
	token := o.login()
	for _, step := range [][3]string{
		{http.MethodPatch, "/connection", `[{"key":"shop","name":"Shop","connection_type":"https","access":"read"}]`},
		{http.MethodPut, "/connection/shop/secret", fmt.Sprintf(`{"url":%q,"authorization":"x"}`, called.URL(legalHold))},
		{http.MethodPatch, "/dsr/policy", `[{"key":"forget","name":"Forget","action_type":"erasure"}]`},
		{http.MethodPut, "/dsr/policy/forget/webhook/pre_execution", `[{"connection_config_key":"shop","direction":"two_way","key":"legal_hold","name":"Legal hold"}]`},
	} {
		o.call(step[0], "/api/v1"+step[1], token, "application/json", step[2])
	}
	o.environ = map[string]string{
		"PARLEY_URL": o.info.Origin, "PARLEY_CLIENT_ID": o.info.RootClientID, "PARLEY_CLIENT_SECRET": o.info.RootClientSecret,
	}
	return o
}

// submit submits a request and gives its id.
func (o *office) submit(email string) string {
	o.t.Helper()
	answer := o.call(http.MethodPost, "/api/v1/privacy-request", "", "application/json",
		fmt.Sprintf(`[{"policy_key":"forget","identity":{"email":%q},"external_id":"ticket-of-%s"}]`, email, email))
	var bulk struct {
		Succeeded []struct {
			ID string `json:"id"`
		} `json:"succeeded"`
	}
	if err := json.Unmarshal([]byte(answer), &bulk); err != nil || len(bulk.Succeeded) != 1 {
		o.t.Fatalf("%s, %v", answer, err)
	}
	return bulk.Succeeded[0].ID
}

// request runs parley request and checks with which code it would end.
func (o *office) request(code int, args ...string) string {
	o.t.Helper()
	var out bytes.Buffer
	err := cli.Run(o.t.Context(), append([]string{"request"}, args...), o.environ, &out)
	if got := exitCode(err); got != code {
		o.t.Errorf("parley request %s: exit code %d, want %d: %v\n%s", strings.Join(args, " "), got, code, err, out.String())
	}
	if strings.Contains(out.String(), "@") && !slices.Contains(args, "--identities") {
		o.t.Errorf("parley request %s shows an identity:\n%s", strings.Join(args, " "), out.String())
	}
	return out.String()
}

// exitCode is the code with which the process ends.
func exitCode(err error) int {
	var coded interface{ ExitCode() int }
	switch {
	case err == nil:
		return 0
	case errors.As(err, &coded):
		return coded.ExitCode()
	}
	return 1
}

// row gives the line of a table that begins with the id, its columns one space
// apart.
func row(table, id string) string {
	for line := range strings.Lines(table) {
		if strings.HasPrefix(strings.TrimSpace(line), id) {
			return strings.Join(strings.Fields(line), " ")
		}
	}
	return ""
}

func (o *office) wants(what, got string, parts ...string) {
	o.t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			o.t.Errorf("%s: %q is not in\n%s", what, part, got)
		}
	}
}

// TestRequests works through the requests of a day with the command line.
func TestRequests(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	var ids []string
	for _, name := range []string{"halted", "broken", "denied", "canceled"} {
		ids = append(ids, o.submit(name+"@example.com"))
	}
	halted, broken, denied, canceled := ids[0], ids[1], ids[2], ids[3]
	o.receiver.Script(legalHold, receiver.Answer{Decide: func(c receiver.Call) receiver.Answer {
		if p, err := c.Payload(); err == nil && p.PrivacyRequestID == halted {
			return receiver.Halt()
		}
		return receiver.Status(http.StatusNotFound)
	}})
	o.list(ids)
	everything := o.watchAll(ids)
	o.review(halted, broken, denied, canceled)

	o.wants("watch", o.request(1, "watch", broken), broken+"  request.created", "webhook.requested  (legal_hold)",
		"request.failed  (legal_hold; webhook_failed)  Webhook 'legal_hold' returned an error")
	shown := o.request(0, "show", broken)
	o.wants("show", shown, broken+"\n", "error (at the step pre_webhooks; parley request retry goes on there)",
		"Webhook 'legal_hold' returned an error", "legal_hold", "status 404")
	o.receiver.Script(legalHold, receiver.Answer{Decide: func(c receiver.Call) receiver.Answer {
		if p, err := c.Payload(); err == nil && p.PrivacyRequestID == halted {
			return receiver.Halt()
		}
		return receiver.Continue()
	}})
	retried := o.request(1, "retry", broken, halted)
	o.wants("retry", row(retried, broken), "in_processing retried")
	o.wants("retry", row(retried, halted), "refused: Cannot restart privacy request from failure")
	o.wants("watch", o.request(0, "watch", broken, "--json"),
		`"type":"dev.parley.request.failed.v1"`, `"type":"dev.parley.request.completed.v1"`)

	await(t, "the halt", func() bool { return strings.Contains(o.request(0, "show", halted), "paused") })
	resumed := o.request(1, "resume", halted, denied)
	o.wants("resume", row(resumed, halted), "resumed")
	o.wants("show", o.request(0, "show", halted), "Webhook 'legal_hold' halted the request", "Resumed by a person")
	o.wants("resume", row(resumed, denied), "refused: Invalid resume request")
	o.wants("watch", o.request(1, "watch", halted, canceled), halted+"  request.resumed", halted+"  request.completed", canceled+"  request.canceled")
	o.wants("watch", o.request(1, "watch", "pri_unknown"), "pri_unknown does not exist.")
	everything("pending → denied", "pending → canceled", "→ complete")
	o.usage()
}

func (o *office) list(ids []string) {
	o.t.Helper()
	table := o.request(0, "list")
	o.wants("list", table, "REQUEST", "STATUS", "ACTION", "POLICY", "CREATED", "DUE")
	for _, id := range ids {
		o.wants("list", row(table, id), id+" pending erasure forget 20")
	}
	quiet := strings.Fields(o.request(0, "list", "--quiet", "--asc", "--status", "pending,paused"))
	if !slices.Equal(quiet, ids) {
		o.t.Errorf("list --quiet --asc: %v, want %v", quiet, ids)
	}
	o.wants("list --limit", o.request(0, "list", "--limit", "1"), "… and 3 more; --limit shows them.")
	o.wants("list --identities", row(o.request(0, "list", "--identities"), ids[0]), "ticket-of-halted@example.com email=halted@example.com")
	o.wants("list of nothing", o.request(0, "list", "--status", "complete"), "No privacy request fits.")
	if one := strings.TrimSpace(o.request(0, "list", "-q", "--identity", "email=broken@example.com", "--created-after", "1h")); one != ids[1] {
		o.t.Errorf("list --identity: %q", one)
	}
	var found struct {
		Total    int              `json:"total"`
		Requests []map[string]any `json:"requests"`
	}
	printed := o.request(0, "list", "--json", "--action", "erasure")
	if err := json.Unmarshal([]byte(printed), &found); err != nil || found.Total != 4 || len(found.Requests) != 4 {
		o.t.Fatalf("list --json: %v\n%s", err, printed)
	}
	if _, is := found.Requests[0]["external_id"]; is || found.Requests[0]["status"] != "pending" {
		o.t.Errorf("list --json: %v", found.Requests[0])
	}
}

func (o *office) review(halted, broken, denied, canceled string) {
	o.t.Helper()
	const unknown = "pri_unknown"
	approved := o.request(1, "approve", halted, broken, unknown, halted)
	if lines := strings.Count(approved, "\n"); lines != 4 {
		o.t.Errorf("approve names what was named twice twice, or not all:\n%s", approved)
	}
	o.wants("approve", row(approved, halted), "approved approved")
	o.wants("approve", row(approved, broken), "approved")
	o.wants("approve", row(approved, unknown), "- refused: No privacy request found")
	o.wants("deny", row(o.request(0, "deny", denied, "--reason", "somebody else"), denied), "denied denied")
	o.wants("deny", row(o.request(1, "deny", denied), denied), "denied refused: Cannot transition status")
	var results []struct {
		ID, Status, Message string
		Done                bool
	}
	printed := o.request(1, "cancel", "--json", canceled, denied)
	if err := json.Unmarshal([]byte(printed), &results); err != nil || len(results) != 2 ||
		!results[0].Done || results[0].Status != "canceled" || results[1].Done ||
		results[1].Message != "Cannot cancel privacy request in denied status" {
		o.t.Errorf("cancel --json: %v\n%s", err, printed)
	}
	shown := o.request(1, "show", denied, unknown)
	o.wants("show", shown, denied+"\n", "Request denied", "somebody else", unknown+" does not exist.")
	o.wants("show --identities", o.request(0, "show", "--identities", denied), "email=denied@example.com", "ticket-of-denied@example.com")
}

// watchAll follows all requests until the returned function has seen what it
// waits for.
func (o *office) watchAll(ids []string) (until func(...string)) {
	o.t.Helper()
	ctx, cancel := context.WithCancel(o.t.Context())
	var out lines
	ended := make(chan error, 1)
	go func() { ended <- cli.Run(ctx, []string{"request", "watch"}, o.environ, &out) }()
	sees := func(parts ...string) {
		o.t.Helper()
		await(o.t, "all requests to be watched", func() bool {
			text := out.String()
			return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
		})
	}
	sees(ids...)
	return func(parts ...string) {
		o.t.Helper()
		sees(parts...)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			o.t.Errorf("parley request watch ended with %v", err)
		}
	}
}

// lines is what a command prints while it runs.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// usage checks that a wrong command line is told apart from a failure.
func (o *office) usage() {
	o.t.Helper()
	for _, args := range [][]string{
		{"approve"}, {"approve", "a.b"}, {"approve", "pri_1", "--nope"}, {"show"}, {"watch", "*"}, {"nothing"},
		{"list", "pri_1"}, {"list", "--limit", "0"}, {"list", "--status", ""}, {"list", "--action", "access,"}, {"list", "--status", "foo"}, {"list", "--action", "foo"}, {"list", "--sort", "foo"}, {"list", "--created-after", "soon"}, {"list", "--identity", "email"},
	} {
		o.request(2, args...)
	}
	for _, environ := range []map[string]string{
		{"PARLEY_URL": o.info.Origin, "PARLEY_ACCESS_TOKEN": "not one"},
		{"PARLEY_URL": "http://127.0.0.1:1", "PARLEY_ACCESS_TOKEN": "not one"},
	} {
		if err := cli.Run(o.t.Context(), []string{"request", "list"}, environ, io.Discard); exitCode(err) != 1 {
			o.t.Errorf("%v", err)
		}
	}
}
