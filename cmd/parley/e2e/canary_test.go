package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/cmd/parley/internal/story"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
)

// canary is a value that must not be found where it was not sent.
type canary struct {
	name    string
	needles [][]byte
}

// newCanary makes the forms in which a value could stand somewhere: in clear,
// escaped for a URL, and base64, which depends on where in the encoded text the
// value begins.
func newCanary(name, value string) canary {
	needles := [][]byte{[]byte(value), []byte(url.QueryEscape(value)), []byte(url.PathEscape(value))}
	for offset := range 3 {
		padded := append(bytes.Repeat([]byte{0}, offset), value...)
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			// The first and last characters also hold bits of the neighbours.
			text := encoding.EncodeToString(padded)
			first := (offset*8 + 5) / 6
			last := len(padded) * 8 / 6
			needles = append(needles, []byte(text[first:last]))
		}
	}
	return canary{name: name, needles: needles}
}

func (c canary) in(text []byte) bool {
	for _, needle := range c.needles {
		if bytes.Contains(text, needle) {
			return true
		}
	}
	return false
}

// place is something that is searched.
type place struct {
	name string
	text []byte
}

func search(t *testing.T, places []place, canaries []canary) {
	t.Helper()
	for _, p := range places {
		for _, c := range canaries {
			if c.in(p.text) {
				t.Errorf("%s stands in %s", c.name, p.name)
			}
		}
	}
}

// birds are a cast of values that occur nowhere else, and what was made for
// the run.
func birds() story.Cast {
	return story.Cast{
		Email: "canary-email-k7q2@example.com", Phone: "+15550147823", DerivedEmail: "canary-derived-w9x4@example.org",
		ExternalID: "canary-external-p3m8", Authorization: "Bearer canary-authorization-z6t1", Header: "canary-header-b5n0",
	}
}

const (
	canaryCustom = "canary-custom-field-h2v9"
	canaryLabel  = "canary-custom-identity-r4y7"
	canaryReason = "canary-reason-d8c3"
)

// singing are the canaries of a run that has ended.
func singing(cast story.Cast, keys, rootSecret, accessToken string, calls []receiver.Call) []canary {
	_, key, _ := strings.Cut(keys, ":")
	raw, _ := base64.StdEncoding.DecodeString(key)
	all := []canary{
		newCanary("e-mail", cast.Email), newCanary("derived phone number", cast.Phone),
		newCanary("derived e-mail", cast.DerivedEmail),
		newCanary("authorization of the connection", strings.TrimPrefix(cast.Authorization, "Bearer ")),
		newCanary("header of the connection", cast.Header),
		newCanary("custom field", canaryCustom), newCanary("custom identity", canaryLabel),
		newCanary("reason of a denial", canaryReason),
		newCanary("encryption key", key), {name: "raw encryption key", needles: [][]byte{raw}},
		newCanary("secret of the root client", rootSecret), newCanary("access token", accessToken),
	}
	for i, c := range calls {
		if c.Token() != "" {
			all = append(all, newCanary(fmt.Sprintf("reply token of call %d", i), c.Token()))
		}
	}
	return all
}

// further creates requests that the story does not have: one with custom
// fields and a custom identity, and one that is denied with a reason.
func (h *house) further(token string) {
	h.t.Helper()
	h.post(http.MethodPatch, "/api/v1/config", token, map[string]any{"execution": map[string]any{"require_manual_request_approval": true}})
	created := h.post(http.MethodPost, "/api/v1/privacy-request", "", []map[string]any{{
		"policy_key": "erasure_policy",
		"identity": map[string]any{
			"email":      birds().Email,
			"loyalty_id": map[string]any{"label": "Loyalty id", "value": canaryLabel},
		},
		"external_id":                   birds().ExternalID,
		"custom_privacy_request_fields": map[string]any{"shop": map[string]any{"label": "Shop", "value": canaryCustom}},
	}})
	var bulk struct {
		Succeeded []struct {
			ID string `json:"id"`
		} `json:"succeeded"`
	}
	if err := json.Unmarshal(created, &bulk); err != nil || len(bulk.Succeeded) != 1 {
		h.t.Fatalf("creation answered %s", created)
	}
	h.post(http.MethodPatch, "/api/v1/privacy-request/administrate/deny", token, map[string]any{
		"request_ids": []string{bulk.Succeeded[0].ID}, "reason": canaryReason,
	})
	// Refused input is where values like to leak into logs.
	h.try(http.MethodPost, "/api/v1/privacy-request", "", []map[string]any{{
		"policy_key": "erasure_policy", "identity": map[string]any{"email": birds().Email + " ", "phone_number": birds().Phone + "x"},
	}})
	h.try(http.MethodGet, "/api/v1/privacy-request?external_id="+url.QueryEscape(birds().ExternalID), token, nil)
	h.try(http.MethodPost, "/api/v1/privacy-request/pri_x/resume", token, map[string]any{"derived_identity": map[string]any{"email": birds().DerivedEmail}})
}

// post sends JSON and wants a 200.
func (h *house) post(method, path, token string, body any) []byte {
	h.t.Helper()
	status, answer := h.try(method, path, token, body)
	if status != http.StatusOK {
		h.t.Fatalf("%s %s answered %d: %s", method, path, status, answer)
	}
	return answer
}

func (h *house) try(method, path, token string, body any) (int, []byte) {
	h.t.Helper()
	status, answer, err := send(h.t.Context(), method, h.origin+path, token, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return status, answer
}

func send(ctx context.Context, method, target, token string, body any) (int, []byte, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(encoded))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer bytes.Buffer
	_, err = answer.ReadFrom(resp.Body)
	return resp.StatusCode, answer.Bytes(), err
}

// TestCanaries plays the story with values that occur nowhere else and then
// looks for them everywhere: in all streams and buckets, in dumps of both
// databases, in logs at debug level, in metrics and in the files of NATS.
func TestCanaries(t *testing.T) {
	t.Parallel()
	h := setup(t, map[string]string{"PARLEY_ROOT_CLIENT_SECRET": "canary-root-secret-f1g6"})
	h.secret = "canary-root-secret-f1g6"
	h.startAll(serviceNames...)
	tale := &story.Story{Cast: birds()}
	h.play(tale)
	h.further(tale.Token())

	canaries := singing(tale.Cast, h.keys, h.secret, tale.Token(), tale.Calls())
	external := newCanary("external_id", tale.Cast.ExternalID)
	config := place{"a dump of the config database", dump(t, h.database["config"])}
	orchestrator := place{"a dump of the orchestrator database", dump(t, h.database["orchestrator"])}
	elsewhere := append(h.streams(), config)
	for _, name := range serviceNames {
		_, metrics := get(h.services[name].addr, "/metrics")
		elsewhere = append(elsewhere, place{"the metrics of " + name, []byte(metrics)})
	}
	for _, name := range serviceNames {
		h.services[name].signal(syscall.SIGTERM)
		elsewhere = append(elsewhere, place{"the log of " + name, []byte(h.services[name].log.String())})
	}
	h.nats.signal(syscall.SIGTERM)
	elsewhere = append(elsewhere, files(t, h.natsDir)...)

	search(t, append(elsewhere, orchestrator), canaries)
	search(t, elsewhere, []canary{external})
	if !external.in(orchestrator.text) {
		t.Error("external_id does not stand in the read model: it could not be searched")
	}
	if !newCanary("request id", tale.RequestID).in(orchestrator.text) {
		t.Error("the dump does not even have the request's id: the search proves nothing")
	}
}

// TestCanariesAllInOne does the same for the data folder of parley serve, the
// files of its Postgres included, and for what it prints.
func TestCanariesAllInOne(t *testing.T) {
	t.Parallel()
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	const secret = "canary-root-secret-f1g6"
	dir, addr := t.TempDir(), testbed.FreeAddr(t)
	rec, err := receiver.Start(receiver.Options{Dir: t.TempDir(), Origin: "http://" + addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rec.Close() })
	c := &child{
		t: t, name: "parley", path: binary(t, "parley"), args: []string{"serve"}, addr: addr, log: newLog(t, dir, "parley"),
		env: testbed.Environ(map[string]string{
			"PARLEY_HTTP_ADDR": addr, "PARLEY_NATS_ADDR": "127.0.0.1:0", "PARLEY_DATA_DIR": dir,
			"PARLEY_ENCRYPTION_KEYS": keys, "PARLEY_ROOT_CLIENT_ID": rootID, "PARLEY_ROOT_CLIENT_SECRET": secret,
			"PARLEY_EGRESS_CA_FILE": rec.CAFile(), "PARLEY_LOG_LEVEL": "debug",
		}),
	}
	c.start()
	c.awaitReady()
	h := &house{t: t, origin: "http://" + addr, secret: secret, receiver: rec}
	tale := &story.Story{Cast: birds()}
	h.play(tale)
	h.further(tale.Token())
	_, metrics := get(addr, "/metrics")
	c.signal(syscall.SIGTERM)
	if c.err != nil {
		t.Errorf("parley serve ended with %v\n%s", c.err, c.log.tail())
	}
	places := append(files(t, dir), place{"what it printed", []byte(c.log.String())}, place{"the metrics", []byte(metrics)})
	search(t, places, singing(tale.Cast, keys, secret, tale.Token(), tale.Calls()))
}

// streams reads every message of every stream; buckets are streams too.
func (h *house) streams() []place {
	h.t.Helper()
	_, js := testbed.Connect(h.t, h.natsURL)
	var places []place
	names := js.StreamNames(h.t.Context())
	for name := range names.Name() {
		stream, err := js.Stream(h.t.Context(), name)
		if err != nil {
			h.t.Fatal(err)
		}
		info := stream.CachedInfo()
		for sequence := info.State.FirstSeq; sequence <= info.State.LastSeq && info.State.Msgs > 0; sequence++ {
			m, err := stream.GetMsg(h.t.Context(), sequence)
			if err != nil {
				continue // removed since
			}
			places = append(places, place{fmt.Sprintf("%s, message %d on %s", name, sequence, m.Subject), render(m)})
		}
	}
	if err := names.Err(); err != nil {
		h.t.Fatal(err)
	}
	return places
}

func render(m *jetstream.RawStreamMsg) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, m.Subject, m.Header)
	b.Write(m.Data)
	return b.Bytes()
}

func dump(t *testing.T, database string) []byte {
	t.Helper()
	program := "pg_dump"
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump"); len(found) > 0 {
		program = found[len(found)-1]
	}
	var out, problems bytes.Buffer
	cmd := exec.Command(program, "--inserts", database)
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("pg_dump: %v\n%s", err, problems.String())
	}
	return out.Bytes()
}

func files(t *testing.T, dir string) []place {
	t.Helper()
	var places []place
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		places = append(places, place{"the file " + strings.TrimPrefix(path, dir), text})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return places
}
