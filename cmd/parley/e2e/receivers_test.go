package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

const receivers = "../../../examples/receivers"

// language is one in which docs/receivers.md shows a receiver.
type language struct {
	name, file string
	command    func(t *testing.T, file string) []string
}

func languages() []language {
	interpreted := func(interpreter string) func(*testing.T, string) []string {
		return func(_ *testing.T, file string) []string { return []string{interpreter, file} }
	}
	return []language{
		{"go", "go/main.go", func(t *testing.T, file string) []string {
			to := filepath.Join(t.TempDir(), "receiver")
			if out, err := exec.Command("go", "build", "-o", to, file).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return []string{to}
		}},
		{"python3", "python/receiver.py", interpreted("python3")},
		{"node", "javascript/receiver.mjs", interpreted("node")},
	}
}

// TestReceivers plays a request with each receiver of the documentation whose
// language is installed here: it halts the request, works, and resumes it with
// a phone number, which the next webhook sees.
func TestReceivers(t *testing.T) {
	t.Parallel()
	h := setup(t, map[string]string{"PARLEY_EGRESS_ALLOW_HTTP": "true"})
	h.startAll(serviceNames...)
	for _, l := range languages() {
		if _, err := exec.LookPath(l.name); err != nil {
			t.Logf("%s is not installed", l.name)
			continue
		}
		t.Run(l.name, func(t *testing.T) { h.playReceiver(t, l) })
	}
}

func (h *house) playReceiver(t *testing.T, l language) {
	const secret = "whsec_ZXhhbXBsZS1leGFtcGxlLWV4YW1wbGUtZXhhbXBsZQ=="
	command := l.command(t, filepath.Join(receivers, l.file)) // may take its time to compile
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	path, err := exec.LookPath(command[0])
	if err != nil {
		t.Fatal(err)
	}
	addr := testbed.FreeAddr(t)
	c := &child{
		t: t, name: l.name, path: path, args: command[1:], addr: addr, log: newLog(t, t.TempDir(), l.name),
		env: append(testbed.Environ(map[string]string{"PARLEY_URL": h.origin}), "LISTEN="+addr, "SIGNING_SECRET="+secret),
	}
	c.start()
	eventually(t, func() (bool, string) {
		resp, err := http.Post("http://"+addr, "application/json", strings.NewReader("{}"))
		if err != nil {
			return false, err.Error()
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusUnauthorized, fmt.Sprintf("an unsigned call was answered %d", resp.StatusCode)
	})
	admin, err := rest.Open(ctx, rest.Settings{URL: h.origin, ClientID: rootID, ClientSecret: h.secret})
	if err != nil {
		t.Fatal(err)
	}
	id := submitTo(ctx, t, admin, l.name, "http://"+addr+"/prep", h.receiver.URL("/after-"+l.name), secret)
	call, err := h.receiver.Next(ctx, "/after-"+l.name)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := call.Payload(); err != nil || p.PrivacyRequestID != id || p.Identity["phone_number"] != "+15555555555" {
		t.Errorf("the next webhook saw %v, %v", p.Identity, err)
	}
	var page struct {
		Items []struct {
			Status string `json:"status"`
		} `json:"items"`
	}
	eventually(t, func() (bool, string) {
		if err := admin.Do(ctx, http.MethodGet, "/api/v1/privacy-request/"+id+"/log", nil, &page); err != nil {
			return false, err.Error()
		}
		halted := slices.ContainsFunc(page.Items, func(i struct {
			Status string `json:"status"`
		}) bool {
			return i.Status == "awaiting_processing"
		})
		return halted, fmt.Sprintf("the log has no halt: %+v", page.Items)
	})
	eventually(t, func() (bool, string) {
		return strings.Contains(c.log.String(), "the resume was answered 200"), c.log.tail()
	})
}

// submitTo sets a policy with two webhooks, the receiver and one that comes
// after it, and submits a request.
func submitTo(ctx context.Context, t *testing.T, admin *rest.Client, name, url, after, secret string) string {
	t.Helper()
	type object = map[string]any
	policy, first, second := "receivers_"+name, "first_"+name, "second_"+name
	connection := func(key string) object {
		return object{"name": key, "key": key, "connection_type": "https", "access": "read"}
	}
	webhook := func(key string) object {
		return object{"connection_config_key": key, "direction": "two_way", "key": key, "name": key}
	}
	var answer json.RawMessage
	for _, step := range []struct {
		method, path string
		body         any
	}{
		{http.MethodPatch, "/connection", []object{connection(first), connection(second)}},
		{http.MethodPut, "/connection/" + first + "/secret", object{"url": url, "authorization": "Bearer x", "signing_secret": secret}},
		{http.MethodPut, "/connection/" + second + "/secret", object{"url": after, "authorization": "Bearer x"}},
		{http.MethodPatch, "/dsr/policy", []object{{"name": policy, "key": policy, "action_type": "erasure"}}},
		{http.MethodPut, "/dsr/policy/" + policy + "/webhook/pre_execution", []object{webhook(first), webhook(second)}},
		{http.MethodPost, "/privacy-request", []object{{"policy_key": policy, "identity": object{"email": "somebody@example.com"}}}},
	} {
		if err := admin.Do(ctx, step.method, "/api/v1"+step.path, step.body, &answer); err != nil {
			t.Fatal(err)
		}
	}
	var created struct {
		Succeeded []struct {
			ID string `json:"id"`
		} `json:"succeeded"`
	}
	if err := json.Unmarshal(answer, &created); err != nil || len(created.Succeeded) != 1 {
		t.Fatalf("not created: %s", answer)
	}
	return created.Succeeded[0].ID
}

// TestReceiversAreShown compares docs/receivers.md with the files, to the byte,
// and counts their lines of code.
func TestReceiversAreShown(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/receivers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range languages() {
		file, err := os.ReadFile(filepath.Join(receivers, l.file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), "\n"+string(file)+"```\n") {
			t.Errorf("docs/receivers.md does not show examples/receivers/%s as it is", l.file)
		}
		lines := 0
		for line := range strings.Lines(string(file)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
				lines++
			}
		}
		if lines >= 40 {
			t.Errorf("examples/receivers/%s has %d lines of code", l.file, lines)
		}
	}
}
