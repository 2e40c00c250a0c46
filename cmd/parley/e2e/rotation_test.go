package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
	"github.com/parley-dsr/parley/cmd/parley/internal/ring"
	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/rotation"
)

const (
	rotationPath = "/rotation"
	// haltedBefore are halted when the rotation begins, haltedLater when the new
	// key seals; aRestart are submitted while a service is away.
	haltedBefore, haltedLater, aRestart = 20, 5, 9
	accessTokenTTL                      = "5s"
	repliesPlace                        = "reply tokens that may still be used"
)

// rotating is a house whose key is replaced while requests live in it.
type rotating struct {
	*house
	postgres *embedded.Postgres
	crowd    sync.WaitGroup

	mu        sync.Mutex
	submitted int
	halted    map[string]receiver.Call // by e-mail address
	problems  []string
}

// TestRotation replaces the encryption key as docs/operations.md says, each
// service restarted by itself, while more than a hundred requests run and twenty
// are halted.
func TestRotation(t *testing.T) {
	t.Parallel()
	r := openRotation(t)
	old := r.keys
	fresh, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	oldKID, _, _ := strings.Cut(old, ":")
	r.configure()
	r.submit(emails("halt-before", haltedBefore))
	r.await("paused", haltedBefore)

	r.restartAll(old + "," + fresh)
	r.restartAll(fresh + "," + old)
	if k := r.status(oldKID); k.CanGo || !needsReseal(k) || replies(k) < haltedBefore {
		t.Errorf("before anything is sealed again: %s %+v", k.Verdict(), k.Uses)
	}
	r.submit(emails("halt-later", haltedLater))
	r.await("paused", haltedBefore+haltedLater)
	r.crowd.Wait()
	// Whoever was halted before holds a token of the old key.
	var k ring.Key
	eventually(t, func() (bool, string) {
		r.parley("keys", "reseal")
		k = r.status(oldKID)
		return !needsReseal(k) && replies(k) == haltedBefore, fmt.Sprintf("%s %+v", k.Verdict(), k.Uses)
	})
	if k.CanGo || !strings.HasPrefix(k.Verdict(), "It can go at ") {
		t.Errorf("while requests wait for tokens of the old key: %s %+v", k.Verdict(), k.Uses)
	}
	r.resume("halt-before", haltedBefore)
	r.await("paused", haltedLater)
	eventually(t, func() (bool, string) {
		r.parley("keys", "reseal") // what was being written before
		k = r.status(oldKID)
		return k.CanGo && k.Verdict() == "It can go.", fmt.Sprintf("%s %+v", k.Verdict(), k.Uses)
	})

	r.restartAll(fresh)
	r.resume("halt-later", haltedLater)
	r.crowd.Wait()
	r.checkAfter(fresh)
}

func openRotation(t *testing.T) *rotating {
	t.Helper()
	postgres := testbed.StartPostgres(t, embedded.PostgresOptions{Dir: t.TempDir(), Databases: []string{"config", "orchestrator"}})
	r := &rotating{postgres: postgres, halted: map[string]receiver.Call{}}
	r.house = setupOver(t, map[string]string{"config": postgres.URL("config"), "orchestrator": postgres.URL("orchestrator")},
		map[string]string{"PARLEY_LOG_LEVEL": "warn", "PARLEY_ACCESS_TOKEN_TTL": accessTokenTTL})
	r.receiver.Script(rotationPath, receiver.Answer{Decide: r.answer})
	r.startAll(serviceNames...)
	t.Cleanup(r.crowd.Wait)
	return r
}

// answer is the called system: it knows who calls, and halts whose address
// begins with halt, once.
func (r *rotating) answer(c receiver.Call) receiver.Answer {
	email := ""
	if p, err := c.Payload(); err == nil {
		email, _ = p.Identity["email"].(string)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if email == "" || c.Header.Get("Authorization") != "Bearer rotation" || c.Header.Get("X-Rotation") != "yes" {
		r.problems = append(r.problems, "a call without what the connection or the vault has")
		return receiver.Status(http.StatusUnauthorized)
	}
	if _, before := r.halted[email]; before || !strings.HasPrefix(email, "halt-") {
		return receiver.Continue()
	}
	r.halted[email] = c
	return receiver.Halt()
}

func (r *rotating) configure() {
	r.t.Helper()
	type object = map[string]any
	hook := func(key, direction string) []object {
		return []object{{"connection_config_key": "rotation", "direction": direction, "key": key, "name": key}}
	}
	for _, step := range []struct {
		method, path string
		body         any
	}{
		{http.MethodPatch, "/connection", []object{{"name": "Rotation", "key": "rotation", "connection_type": "https", "access": "read"}}},
		{http.MethodPut, "/connection/rotation/secret", object{
			"url": r.receiver.URL(rotationPath), "authorization": "Bearer rotation", "headers": object{"X-Rotation": "yes"},
		}},
		{http.MethodPatch, "/dsr/policy", []object{{"name": "Rotation", "key": "rotation", "action_type": "erasure"}}},
		{http.MethodPut, "/dsr/policy/rotation/webhook/pre_execution", hook("ask", "two_way")},
		{http.MethodPut, "/dsr/policy/rotation/webhook/post_execution", hook("tell", "one_way")},
	} {
		if err := r.do(r.t.Context(), step.method, step.path, step.body, nil); err != nil {
			r.t.Fatal(err)
		}
	}
}

// do calls as the root client, with a token of its own: tokens are short-lived
// here.
func (r *rotating) do(ctx context.Context, method, path string, body, out any) error {
	admin, err := rest.Open(ctx, rest.Settings{URL: r.origin, ClientID: rootID, ClientSecret: r.secret})
	if err != nil {
		return err
	}
	return admin.Do(ctx, method, "/api/v1"+path, body, out)
}

func emails(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s-%d@example.com", prefix, i)
	}
	return list
}

// submit submits a request for each address. A service that is being restarted
// is asked again; what it has answered with is not asked twice.
func (r *rotating) submit(emails []string) {
	items := make([]map[string]any, len(emails))
	for i, email := range emails {
		items[i] = map[string]any{"policy_key": "rotation", "identity": map[string]any{"email": email}, "external_id": email}
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	var created struct {
		Succeeded []json.RawMessage `json:"succeeded"`
		Failed    []json.RawMessage `json:"failed"`
	}
	err := r.insist(ctx, func() error {
		return r.do(ctx, http.MethodPost, "/privacy-request/authenticated", items, &created)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.submitted += len(created.Succeeded)
	if err != nil || len(created.Failed) > 0 {
		r.problems = append(r.problems, fmt.Sprintf("submission: %d failed, %v", len(created.Failed), err))
	}
}

// insist tries until somebody is there to answer.
func (r *rotating) insist(ctx context.Context, try func() error) error {
	for {
		err := try()
		var refused *rest.StatusError
		away := errors.As(err, &refused) && refused.Status >= http.StatusInternalServerError || errors.Is(err, rest.ErrNoAnswer)
		if !away || ctx.Err() != nil {
			return err
		}
	}
}

// restartAll restarts the services one by one with a ring, config last, and
// lets requests come while each of them is away.
func (r *rotating) restartAll(keys string) {
	r.t.Helper()
	r.keys = keys
	for i, name := range []string{"callback", "dispatcher", "orchestrator", "config"} {
		c := r.services[name]
		c.env = slices.DeleteFunc(c.env, func(v string) bool { return strings.HasPrefix(v, "PARLEY_ENCRYPTION_KEYS=") })
		c.env = append(c.env, "PARLEY_ENCRYPTION_KEYS="+keys)
		come := emails(fmt.Sprintf("run-%d-%d", strings.Count(keys, ","), i), aRestart)
		r.crowd.Go(func() { r.submit(come) })
		c.signal(syscall.SIGTERM)
		if c.err != nil {
			r.t.Errorf("%s ended with %v", name, c.err)
		}
		c.start()
		c.awaitUp()
		c.awaitReady()
	}
}

// await waits until so many requests have the status.
func (r *rotating) await(status string, want int) {
	r.t.Helper()
	eventually(r.t, func() (bool, string) {
		got, err := r.count("?size=1&status=" + status)
		return err == nil && got == want, fmt.Sprintf("%d requests are %s, want %d (%v)", got, status, want, err)
	})
}

func (r *rotating) count(query string) (int, error) {
	var page struct {
		Total int `json:"total"`
	}
	err := r.do(r.t.Context(), http.MethodGet, "/privacy-request"+query, nil, &page)
	return page.Total, err
}

// parley runs the operator's command beside the services.
func (r *rotating) parley(args ...string) []byte {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(r.t, "parley"), args...)
	cmd.Env = testbed.Environ(map[string]string{
		"PARLEY_NATS_URL": r.natsURL, "PARLEY_DATABASE_URL": r.postgres.URL("postgres"), "PARLEY_ENCRYPTION_KEYS": r.keys,
		"PARLEY_ACCESS_TOKEN_TTL": accessTokenTTL, "PARLEY_DATA_DIR": r.dir,
	})
	out, err := cmd.Output()
	if err != nil {
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			out = ended.Stderr
		}
		r.t.Fatalf("parley %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// known are the keys of which parley keys status tells.
func (r *rotating) known() []ring.Key {
	r.t.Helper()
	var report ring.Report
	if err := json.Unmarshal(r.parley("keys", "status", "--json"), &report); err != nil {
		r.t.Fatal(err)
	}
	return report.Keys
}

// status is what parley keys status says about a key.
func (r *rotating) status(kid string) ring.Key {
	r.t.Helper()
	known := r.known()
	at := slices.IndexFunc(known, func(k ring.Key) bool { return k.KID == kid })
	if at < 0 {
		r.t.Fatalf("the status does not know the key: %+v", known)
	}
	return known[at]
}

func needsReseal(k ring.Key) bool {
	return slices.ContainsFunc(k.Uses, func(u ring.Use) bool { return u.Remedy == rotation.Reseal && u.Values > 0 })
}

// replies are the reply tokens of a key that somebody may still use.
func replies(k ring.Key) int {
	for _, u := range k.Uses {
		if u.Place == repliesPlace {
			return u.Values
		}
	}
	return 0
}

// resume lets halted requests go on, each with the token that it was given.
func (r *rotating) resume(prefix string, want int) {
	r.t.Helper()
	r.mu.Lock()
	var calls []receiver.Call
	for email, c := range r.halted {
		if strings.HasPrefix(email, prefix) {
			calls = append(calls, c)
		}
	}
	r.mu.Unlock()
	if len(calls) != want {
		r.t.Fatalf("%d requests of %s were halted, want %d", len(calls), prefix, want)
	}
	for _, c := range calls {
		reply, err := r.receiver.Resume(r.t.Context(), c, map[string]any{"phone_number": "+15555550100"})
		if err != nil || reply.Status != http.StatusOK {
			r.t.Fatalf("a resume was answered %d %s, %v", reply.Status, reply.Body, err)
		}
	}
}

// checkAfter looks at the house when the old key is gone: everything has
// succeeded, and what was stored before can still be opened and found.
func (r *rotating) checkAfter(fresh string) {
	r.t.Helper()
	r.mu.Lock()
	submitted, problems := r.submitted, r.problems
	r.mu.Unlock()
	if len(problems) > 0 {
		r.t.Errorf("%d problems: %s", len(problems), strings.Join(problems, "\n"))
	}
	if submitted < 100+haltedBefore {
		r.t.Errorf("only %d requests were submitted", submitted)
	}
	eventually(r.t, func() (bool, string) {
		complete, err := r.count("?size=1&status=complete")
		all, err2 := r.count("?size=1")
		return errors.Join(err, err2) == nil && complete == all && all >= submitted, fmt.Sprintf("%d of %d are complete (%v)", complete, all, err)
	})
	for _, email := range []string{emails("halt-before", 1)[0], emails("run-1-0", 1)[0]} {
		var found struct {
			Items []struct {
				ExternalID string                    `json:"external_id"`
				Identity   map[string]map[string]any `json:"identity"`
			} `json:"items"`
		}
		body := map[string]any{"identities": map[string]any{"email": email}, "include_identities": true}
		err := r.do(r.t.Context(), http.MethodPost, "/privacy-request/search", body, &found)
		if err != nil || len(found.Items) == 0 || found.Items[0].ExternalID != email || found.Items[0].Identity["email"]["value"] != email {
			r.t.Errorf("who submitted before is found as %+v, %v", found, err)
		}
	}
	kid, _, _ := strings.Cut(fresh, ":")
	known := r.known()
	if len(known) != 1 || known[0].KID != kid || !known[0].Seals {
		r.t.Errorf("keys that are known: %+v", known)
	}
}
