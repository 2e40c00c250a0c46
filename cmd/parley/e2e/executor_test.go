package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// shop is a company with a table of customers, on which the example executor
// answers requests in a process of its own.
type shop struct {
	*house
	t        *testing.T
	admin    *rest.Client
	database string
	db       *pgx.Conn
	results  string
	executor *child
}

// Policies of a shop: access and erasure alone, and erasure after a webhook was
// asked for the person's phone number.
const (
	shopAccess  = "shop_access"
	shopErasure = "shop_erasure"
	shopDerived = "shop_derived"
	crmPath     = "/crm"
)

func openShop(t *testing.T, settings map[string]string) *shop {
	t.Helper()
	all := map[string]string{"PARLEY_EXECUTION": "external"}
	for name, value := range settings {
		all[name] = value
	}
	s := &shop{house: setup(t, all), t: t, database: testbed.Postgres(t), results: t.TempDir()}
	s.startAll(serviceNames...)
	var err error
	if s.admin, err = rest.Open(t.Context(), rest.Settings{URL: s.origin, ClientID: rootID, ClientSecret: s.secret}); err != nil {
		t.Fatal(err)
	}
	if s.db, err = pgx.Connect(t.Context(), s.database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close(context.Background()) })
	s.exec(`CREATE TABLE customers (id int PRIMARY KEY, name text, email text, phone text);
		INSERT INTO customers VALUES
			(1, 'Ada', 'ada@example.com', NULL), (2, 'Ada at work', 'Ada@Example.com', '+15550000001'),
			(3, 'Bob', NULL, '+15550000002'), (4, 'Cleo', 'cleo@example.com', NULL), (5, 'Dan', 'dan@example.com', NULL)`)
	s.configure()
	s.executor = &child{
		t: t, name: "executor", path: binary(t, "executor"), log: newLog(t, s.dir, "executor"),
		env: append(testbed.Environ(nil), "DATABASE_URL="+s.database, "NATS_URL="+s.natsURL, "RESULTS_DIR="+s.results, "TAKEOVER=1s"),
	}
	return s
}

func (s *shop) exec(sql string) {
	s.t.Helper()
	if _, err := s.db.Exec(s.t.Context(), sql); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) configure() {
	s.t.Helper()
	type object = map[string]any
	for _, step := range []struct {
		method, path string
		body         any
	}{
		{http.MethodPatch, "/connection", []object{{"name": "CRM", "key": "crm", "connection_type": "https", "access": "read"}}},
		{http.MethodPut, "/connection/crm/secret", object{"url": s.receiver.URL(crmPath), "authorization": "Bearer crm"}},
		{http.MethodPatch, "/dsr/policy", []object{
			{"name": shopAccess, "key": shopAccess, "action_type": "access"},
			{"name": shopErasure, "key": shopErasure, "action_type": "erasure"},
			{"name": shopDerived, "key": shopDerived, "action_type": "erasure"},
		}},
		{http.MethodPut, "/dsr/policy/" + shopDerived + "/webhook/pre_execution", []object{
			{"connection_config_key": "crm", "direction": "two_way", "key": "crm", "name": "CRM"},
		}},
	} {
		if err := s.admin.Do(s.t.Context(), step.method, "/api/v1"+step.path, step.body, nil); err != nil {
			s.t.Fatal(err)
		}
	}
}

// submit submits a request and gives its id.
func (s *shop) submit(policy, email string) string {
	s.t.Helper()
	var answer struct {
		Succeeded []struct {
			ID string `json:"id"`
		} `json:"succeeded"`
	}
	body := []map[string]any{{"policy_key": policy, "identity": map[string]string{"email": email}}}
	if err := s.admin.Do(s.t.Context(), http.MethodPost, "/api/v1/privacy-request", body, &answer); err != nil || len(answer.Succeeded) != 1 {
		s.t.Fatalf("not created: %+v, %v", answer, err)
	}
	return answer.Succeeded[0].ID
}

func (s *shop) status(id string) string {
	var page struct {
		Items []struct {
			Status string `json:"status"`
		} `json:"items"`
	}
	err := s.admin.Do(s.t.Context(), http.MethodGet, "/api/v1/privacy-request?request_id="+id, nil, &page)
	if err != nil || len(page.Items) != 1 {
		return fmt.Sprintf("unknown (%v)", err)
	}
	return page.Items[0].Status
}

func (s *shop) awaitStatus(id, want string) {
	s.t.Helper()
	eventually(s.t, func() (bool, string) {
		got := s.status(id)
		return got == want, fmt.Sprintf("%s is %s, want %s", id, got, want)
	})
}

// awaitLog waits until the log of the request has an entry with the status and
// the message.
func (s *shop) awaitLog(id, status, message string) {
	s.t.Helper()
	type entry struct {
		Status  string  `json:"status"`
		Message *string `json:"message"`
	}
	eventually(s.t, func() (bool, string) {
		var page struct {
			Items []entry `json:"items"`
		}
		if err := s.admin.Do(s.t.Context(), http.MethodGet, "/api/v1/privacy-request/"+id+"/log?size=100", nil, &page); err != nil {
			return false, err.Error()
		}
		return slices.ContainsFunc(page.Items, func(e entry) bool {
			return e.Status == status && e.Message != nil && strings.Contains(*e.Message, message)
		}), fmt.Sprintf("the log of %s has no %q with %q: %+v", id, status, message, page.Items)
	})
}

// left gives who is still a customer.
func (s *shop) left() string {
	s.t.Helper()
	rows, err := s.db.Query(s.t.Context(), `SELECT name FROM customers ORDER BY id`)
	if err != nil {
		s.t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(names, ", ")
}

// hold keeps the executor from erasing a customer that it finds, until the
// returned function is called.
func (s *shop) hold(name string) (release func()) {
	s.t.Helper()
	tx, err := s.db.Begin(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := tx.Exec(s.t.Context(), `SELECT FROM customers WHERE name = $1 FOR UPDATE`, name); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestExecutor has the example executor answer requests: it finds people by an
// e-mail address and by a phone number that a webhook derived, says why where
// it finds nobody, and goes on where it was killed.
func TestExecutor(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	s.executor.start()

	access := s.submit(shopAccess, "ADA@example.com")
	s.awaitStatus(access, "complete")
	s.awaitLog(access, "in_processing", "Customers found: 2")
	content, err := os.ReadFile(filepath.Join(s.results, access+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		Customers []struct {
			Name string `json:"name"`
		} `json:"customers"`
	}
	if err := json.Unmarshal(content, &result); err != nil || len(result.Customers) != 2 || result.Customers[1].Name != "Ada at work" {
		t.Errorf("%v\n%s", err, content)
	}

	erasure := s.submit(shopErasure, "ada@example.com")
	s.awaitStatus(erasure, "complete")
	if left := s.left(); left != "Bob, Cleo, Dan" {
		t.Errorf("after the erasure by e-mail there are %s", left)
	}

	s.receiver.Script(crmPath, receiver.Derive(map[string]any{"phone_number": "+15550000002"}))
	derived := s.submit(shopDerived, "bob-of-the-crm@example.com")
	s.awaitStatus(derived, "complete")
	if left := s.left(); left != "Cleo, Dan" {
		t.Errorf("after the erasure by a derived phone number there are %s", left)
	}

	unknown := s.submit(shopErasure, "nobody@example.com")
	s.awaitStatus(unknown, "error")
	s.awaitLog(unknown, "error", "No customer has this e-mail address or phone number.")

	release := s.hold("Cleo")
	killed := s.submit(shopErasure, "cleo@example.com")
	s.awaitLog(killed, "in_processing", "Customers found: 1")
	s.executor.signal(syscall.SIGKILL)
	release()
	if left := s.left(); left != "Cleo, Dan" {
		t.Errorf("a killed executor has erased: there are %s", left)
	}
	s.executor.start()
	s.awaitStatus(killed, "complete")
	if left := s.left(); left != "Dan" {
		t.Errorf("after the executor came back there are %s", left)
	}
	if text := s.executor.log.String(); strings.Contains(strings.ToLower(text), "@example.com") || strings.Contains(text, "+1555") {
		t.Errorf("the executor logs identities:\n%s", text)
	}
	s.executor.signal(syscall.SIGTERM)
	if s.executor.err != nil {
		t.Errorf("on SIGTERM the executor ended with %v", s.executor.err)
	}
}

// TestExecutorIsLate has an executor that does not answer in time: the request
// fails and says so, the answer that comes in the end changes nothing, and a
// retry, which repeats what was done, completes it.
func TestExecutorIsLate(t *testing.T) {
	t.Parallel()
	s := openShop(t, map[string]string{"PARLEY_EXECUTION_TIMEOUT": "10s"})
	release := s.hold("Dan")
	s.executor.start()
	id := s.submit(shopErasure, "dan@example.com")
	s.awaitStatus(id, "error")
	s.awaitLog(id, "error", "The erasure execution neither ended nor reported progress within 10s.")
	release()
	s.awaitFact(events.ExecutionCompleted, id)
	if left := s.left(); left != "Ada, Ada at work, Bob, Cleo" {
		t.Errorf("there are %s", left)
	}
	if got := s.status(id); got != "error" {
		t.Errorf("a late answer has changed the request to %s", got)
	}
	eventually(t, func() (bool, string) { // a busy machine may be late again
		got := s.status(id)
		if got == "error" {
			err := s.admin.Do(t.Context(), http.MethodPost, "/api/v1/privacy-request/"+id+"/retry", nil, nil)
			return false, fmt.Sprintf("%s is in error, and was retried: %v", id, err)
		}
		return got == "complete", fmt.Sprintf("%s is %s", id, got)
	})
}

// TestExecutorWithoutIdentity starts the executor when the identity of a
// request has expired: the request fails and asks for resubmission.
func TestExecutorWithoutIdentity(t *testing.T) {
	t.Parallel()
	s := openShop(t, map[string]string{"PARLEY_IDENTITY_TTL": "2s", "PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT": "1s"})
	id := s.submit(shopAccess, "dan@example.com")
	s.awaitStatus(id, "in_processing")
	_, js := testbed.Connect(t, s.natsURL)
	kv, err := js.KeyValue(t.Context(), topology.BucketIdentities)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() (bool, string) {
		_, err := kv.Get(t.Context(), id)
		return errors.Is(err, jetstream.ErrKeyNotFound), fmt.Sprintf("the identity is still there: %v", err)
	})
	s.executor.start()
	s.awaitStatus(id, "error")
	s.awaitLog(id, "error", "Privacy request has expired. Please resubmit information.")
	if files, err := os.ReadDir(s.results); err != nil || len(files) > 0 {
		t.Errorf("there are results: %v, %v", files, err)
	}
	var refused *rest.StatusError
	err = s.admin.Do(t.Context(), http.MethodPost, "/api/v1/privacy-request/"+id+"/retry", nil, nil)
	if !errors.As(err, &refused) || refused.Status != http.StatusUnprocessableEntity || !strings.Contains(refused.Body, "submit a new request") {
		t.Errorf("the retry: %v", err)
	}
}

// awaitFact waits until there is a fact of the type about the request.
func (s *shop) awaitFact(eventType, id string) {
	s.t.Helper()
	subject, err := events.Subject(eventType, id)
	if err != nil {
		s.t.Fatal(err)
	}
	_, js := testbed.Connect(s.t, s.natsURL)
	stream, err := js.Stream(s.t.Context(), events.StreamEvents)
	if err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, func() (bool, string) {
		_, err := stream.GetLastMsgForSubject(s.t.Context(), subject)
		return err == nil, fmt.Sprintf("no %s about %s: %v", eventType, id, err)
	})
}
