package config_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	config "github.com/parley-dsr/parley/services/config"
)

func TestMain(m *testing.M) { testbed.Main(m) }

const (
	rootID     = "root"
	rootSecret = "root-secret"
	patience   = time.Minute
)

// bundle is a running service with what it runs on.
type bundle struct {
	t        *testing.T
	url      string
	database string
	nc       *nats.Conn
	js       jetstream.JetStream
	ring     *keyring.Ring
	root     string // access token
	stop     func()

	settingsUsed config.Settings
}

// front shows the handler at an address of httptest.
type front struct{ url chan string }

func (f front) Serve(ctx context.Context, _ string, h http.Handler) error {
	server := httptest.NewServer(h)
	defer server.Close()
	f.url <- server.URL
	<-ctx.Done()
	return nil
}

// setup runs the service over a database and a NATS server of its own.
func setup(t *testing.T) *bundle {
	t.Helper()
	return setupWith(t, nil)
}

func setupWith(t *testing.T, change func(*config.Settings)) *bundle {
	t.Helper()
	nc, _ := testbed.NATS(t)
	s := testSettings(t)
	if change != nil {
		change(&s)
	}
	b := start(t, testbed.Postgres(t), nc, s)
	b.ready()
	b.root = b.login(rootID, rootSecret)
	return b
}

// orchestrator answers as one does whether privacy requests refer to a policy,
// by the policy's key.
func orchestrator(t *testing.T, nc *nats.Conn, uses map[string]work.PolicyUse) {
	t.Helper()
	_, err := nc.Subscribe(events.PolicyUseFilter, func(msg *nats.Msg) {
		key, _ := events.PolicyOfSubject(msg.Subject)
		answer, there := uses[key]
		if !there {
			answer.Known = true
		}
		data, err := json.Marshal(answer)
		if err == nil {
			err = msg.Respond(data)
		}
		if err != nil {
			t.Error(err)
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func testSettings(t *testing.T) config.Settings {
	t.Helper()
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return config.Settings{
		Settings:     process.Settings{NATSReplicas: 1},
		RootClientID: rootID, RootClientSecret: rootSecret, EncryptionKeys: keys, AccessTokenTTL: 192 * time.Hour,
		EgressAllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
}

func start(t *testing.T, database string, nc *nats.Conn, s config.Settings) *bundle {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Parse(s.EncryptionKeys)
	if err != nil {
		t.Fatal(err)
	}
	s.DatabaseURL = database
	ctx, cancel := context.WithCancel(context.Background())
	shown := front{url: make(chan string, 1)}
	done := make(chan error, 1)
	go func() {
		done <- config.Run(ctx, s, process.Deps{
			NATS: nc, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Registry: prometheus.NewRegistry(),
			Clock: time.Now, Front: shown, Version: "test",
		})
	}()
	b := &bundle{t: t, database: database, nc: nc, js: js, ring: ring, settingsUsed: s}
	stopped := false
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	}
	t.Cleanup(b.stop)
	select {
	case b.url = <-shown.url:
	case err := <-done:
		t.Fatalf("the service did not start: %v", err)
	}
	return b
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !is() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain for %s", what)
		case <-ticker.C:
		}
	}
}

func (b *bundle) ready() {
	b.t.Helper()
	eventually(b.t, "the service to be ready", func() bool { return b.get("/ready").status == http.StatusOK })
}

func (b *bundle) login(id, secret string) string {
	b.t.Helper()
	form := url.Values{"client_id": {id}, "client_secret": {secret}, "grant_type": {"client_credentials"}}
	reply := b.form("/api/v1/oauth/token", form)
	if reply.status != http.StatusOK {
		b.t.Fatalf("no token for %s: %s", id, reply)
	}
	return reply.field("access_token").(string)
}

// clientWith makes an API client with scopes and returns its token.
func (b *bundle) clientWith(scopes ...string) string {
	b.t.Helper()
	made := b.call("POST", "/oauth/client", map[string]any{"scopes": scopes})
	made.want(b.t, http.StatusOK)
	return b.login(made.field("client_id").(string), made.field("client_secret").(string))
}

// answer is what the service answered.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return http.StatusText(a.status) + " " + a.body }

// json decodes the body.
func (a answer) json() any {
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		return nil
	}
	return v
}

// field reads a member of the body's object.
func (a answer) field(name string) any {
	members, _ := a.json().(map[string]any)
	return members[name]
}

func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// wantJSON compares the whole body.
func (a answer) wantJSON(t *testing.T, status int, body string) answer {
	t.Helper()
	a.want(t, status)
	var want any
	if err := json.Unmarshal([]byte(body), &want); err != nil {
		t.Fatalf("the expectation is no JSON: %v", err)
	}
	if diff := cmp.Diff(want, a.json()); diff != "" {
		t.Fatalf("%s\n%s", a, diff)
	}
	return a
}

// wantDetail expects an error with a text.
func (a answer) wantDetail(t *testing.T, status int, detail string) answer {
	t.Helper()
	a.want(t, status)
	if got := a.field("detail"); got != detail {
		t.Fatalf("detail %v\nwant   %s", got, detail)
	}
	return a
}

// wantProblem expects a 422 whose list has an entry.
func (a answer) wantProblem(t *testing.T, kind, loc, msg string) answer {
	t.Helper()
	a.want(t, http.StatusUnprocessableEntity)
	list, _ := a.field("detail").([]any)
	for _, entry := range list {
		problem, _ := entry.(map[string]any)
		place, _ := json.Marshal(problem["loc"])
		if problem["type"] == kind && string(place) == loc && problem["msg"] == msg {
			return a
		}
	}
	t.Fatalf("no problem %s at %s: %s\nin %s", kind, loc, msg, a.body)
	return a
}

func (b *bundle) do(method, path, token, contentType string, body io.Reader, header ...string) answer {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(text)}
}

func (b *bundle) get(path string) answer {
	b.t.Helper()
	return b.do("GET", path, "", "", nil)
}

func (b *bundle) form(path string, values url.Values) answer {
	b.t.Helper()
	return b.do("POST", path, "", "application/x-www-form-urlencoded", strings.NewReader(values.Encode()))
}

// call calls a documented path as root. A body that is a text is sent as it is,
// any other as JSON.
func (b *bundle) call(method, path string, body any, header ...string) answer {
	b.t.Helper()
	return b.callAs(b.root, method, path, body, header...)
}

func (b *bundle) callAs(token, method, path string, body any, header ...string) answer {
	b.t.Helper()
	if body == nil {
		return b.do(method, "/api/v1"+path, token, "", nil, header...)
	}
	text, isText := body.(string)
	if !isText {
		encoded, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		text = string(encoded)
	}
	return b.do(method, "/api/v1"+path, token, "application/json", bytes.NewBufferString(text), header...)
}

// catalog opens the bucket as the other services do.
func (b *bundle) catalog() *catalog.Store {
	b.t.Helper()
	bucket, err := topology.AwaitBucket(b.t.Context(), b.js, topology.BucketConfig, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return catalog.NewStore(bucket)
}

// policy reads a policy's entry.
func (b *bundle) policy(key string) (catalog.Policy, error) {
	b.t.Helper()
	return b.catalog().Policy(b.t.Context(), key)
}

// connection reads the entry of the connection that a webhook of the policy
// uses.
func (b *bundle) connection(id string) catalog.Connection {
	b.t.Helper()
	entry, err := b.catalog().Connection(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return entry
}

// hook makes an https connection with secrets, for webhooks.
func (b *bundle) hook(key string) {
	b.t.Helper()
	b.call("PATCH", "/connection", []any{map[string]any{
		"name": "Connection " + key, "key": key, "connection_type": "https", "access": "read",
	}}).want(b.t, http.StatusOK)
	b.call("PUT", "/connection/"+key+"/secret", map[string]any{
		"url": "https://www.example.com/" + key, "authorization": "Bearer s3cret",
	}).want(b.t, http.StatusOK)
}

// item is an item of a webhook list.
func item(connection, direction, name, key string) map[string]any {
	made := map[string]any{"connection_config_key": connection, "direction": direction}
	if name != "" {
		made["name"] = name
	}
	if key != "" {
		made["key"] = key
	}
	return made
}
