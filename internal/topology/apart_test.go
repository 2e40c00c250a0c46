package topology_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// accounts is a server that knows the users of the table and nobody else.
type accounts struct {
	url  string
	keys map[string]nkeys.KeyPair
}

func withAccounts(t *testing.T) *accounts {
	t.Helper()
	s := &accounts{keys: map[string]nkeys.KeyPair{}}
	config := topology.NATSAccounts(users(t))
	for _, u := range users(t) {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		s.keys[u.Name] = pair
		config = strings.ReplaceAll(config, "$"+topology.KeyVariable(u.Name)+"\n", public+"\n")
	}
	config = fmt.Sprintf("listen: \"127.0.0.1:-1\"\njetstream: { store_dir: %q }\n", t.TempDir()) + config
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o.NoSigs, o.NoLog = true, true
	srv, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server did not become ready")
	}
	s.url = srv.ClientURL()
	return s
}

// as connects as a user, to whom nothing is refused.
func (s *accounts) as(t *testing.T, user string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	pair := s.keys[user]
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.url, nats.Nkey(public, pair.Sign), nats.CustomInboxPrefix(events.InboxPrefix(user)), nats.Timeout(time.Minute),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: %v", user, err)
			}
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// orchestrates makes the streams, and answers as the orchestrator does who asks
// for a consumer or a person.
func (s *accounts) orchestrates(t *testing.T) jetstream.JetStream {
	t.Helper()
	nc, js := s.as(t, topology.UserOrchestrator)
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	for subject, answer := range map[string]func(m *nats.Msg) ([]byte, error){
		events.IdentitySubject("*"): func(*nats.Msg) ([]byte, error) { return []byte(`{"person":{"identity":{}}}`), nil },
		topology.AdmissionFilter: func(m *nats.Msg) ([]byte, error) {
			admission, _ := topology.AdmissionAt(m.Subject)
			request, err := admission.Admit(m.Data)
			if err != nil {
				return []byte(`{"error":{"code":400,"err_code":10003}}`), nil
			}
			made, err := nc.Request(admission.Subject(), request, time.Minute)
			if err != nil {
				return nil, err
			}
			return made.Data, nil
		},
	} {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
			data, err := answer(m)
			if err == nil {
				err = m.Respond(data)
			}
			if err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return js
}

// An observer subscribes, and an executor executes, as without accounts: by a
// durable name, from a time on, to types, and what is told is stored.
func TestApartAndNothingIsMissing(t *testing.T) {
	t.Parallel()
	s := withAccounts(t)
	js := s.orchestrates(t)
	tell := func(id, eventType string) {
		e, err := events.New(events.SourceOrchestrator, eventType, id, "pri_1", time.Now(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := events.Publish(t.Context(), js, e); err != nil {
			t.Fatal(err)
		}
	}
	tell("1", events.RequestCreated)
	last, err := js.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	first, err := last.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	tell("2", events.RequestApproved)
	tell("3", events.RequestStarted)

	_, observer := s.as(t, topology.ObserverUser("audit"))
	subscribe := func(more events.Subscription, n int) []string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		more.Durable = topology.ObserverUser("audit")
		var got []string
		err := events.Subscribe(ctx, observer, more, func(_ context.Context, e events.Event) error {
			if got = append(got, e.ID()); len(got) == n {
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after %v: %v", got, err)
		}
		return got
	}
	if got := subscribe(events.Subscription{From: events.FromTime(first.Time.Add(1))}, 1); !slices.Equal(got, []string{"2"}) {
		t.Errorf("from a time on came %v", got)
	}
	tell("4", events.RequestPaused)
	tell("5", events.RequestCompleted)
	if got := subscribe(events.Subscription{}, 1); !slices.Equal(got, []string{"3"}) {
		t.Errorf("what was not handled yet came as %v", got)
	}
	if got := subscribe(events.Subscription{Types: []string{events.RequestCompleted}}, 1); !slices.Equal(got, []string{"5"}) {
		t.Errorf("of one type came %v", got)
	}

	order := events.Execution{ExecutionID: "pri_1_1", RequestID: "pri_1", Action: events.ActionAccess}
	data, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), events.ExecuteSubject(order.Action, order.RequestID), data); err != nil {
		t.Fatal(err)
	}
	executor, _ := s.as(t, topology.ExecutorUser(order.Action))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := events.Execute(ctx, executor, order.Action, func(context.Context, *events.ExecutionTask) error {
		cancel()
		return nil
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("executed: %v", err)
	}
	if !stored(t, js.Conn(), "dsr.event.execution.completed.pri_1", true) {
		t.Error("what the executor told is not there")
	}
}

// TestPermissionsHoldReplies: who asks the server something may have the answer
// sent to any subject, and so have it stored. An executor or observer cannot: its
// answers stay in its account. That the answer of a user beside the services is
// stored shows that the attack is one.
func TestPermissionsHoldReplies(t *testing.T) {
	t.Parallel()
	s := withAccounts(t)
	js := s.orchestrates(t)
	targets := []string{
		events.CommandSubject("pri_%s"), "dsr.event.request.approved.pri_%s", "$KV." + topology.BucketRequests + ".pri_%s", "$KV." + topology.BucketIdentities + ".pri_%s",
	}
	ask := func(user, mark string, questions ...string) {
		t.Helper()
		nc, _ := s.as(t, user)
		for _, question := range questions {
			for _, target := range targets {
				if err := nc.PublishRequest(question, fmt.Sprintf(target, mark), []byte("{}")); err != nil {
					t.Fatal(err)
				}
			}
			// The server has begun with all of them when it answers this one.
			if _, err := nc.Request(question, []byte(`{"no_wait":true}`), time.Minute); err != nil {
				t.Fatalf("%s, %s: %v", user, question, err)
			}
		}
	}
	consumers := func(user string, js jetstream.JetStream, stream, filter string) {
		t.Helper()
		config := jetstream.ConsumerConfig{Durable: user, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy}
		if _, err := js.CreateOrUpdateConsumer(t.Context(), stream, config); err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		for _, target := range targets {
			config.DeliverSubject = fmt.Sprintf(target, user)
			if _, err := js.CreateOrUpdatePushConsumer(t.Context(), stream, config); err == nil {
				t.Errorf("%s has facts delivered to %s", user, config.DeliverSubject)
			}
		}
	}
	observer, executor := topology.ObserverUser("audit"), topology.ExecutorUser(events.ActionAccess)
	_, as := s.as(t, observer)
	consumers(observer, as, events.StreamEvents, "")
	_, as = s.as(t, executor)
	consumers(executor, as, events.StreamWork, events.ExecuteFilter(events.ActionAccess))

	const api = "$JS.API."
	ask(observer, "1", api+"STREAM.INFO.DSR_EVENTS", api+"CONSUMER.INFO.DSR_EVENTS."+observer, api+"CONSUMER.CREATE.DSR_EVENTS."+observer,
		api+"CONSUMER.MSG.NEXT.DSR_EVENTS."+observer)
	ask(executor, "2", api+"CONSUMER.INFO.DSR_WORK."+executor, api+"CONSUMER.MSG.NEXT.DSR_WORK."+executor,
		api+"CONSUMER.CREATE.DSR_WORK."+executor+"."+events.ExecuteFilter(events.ActionAccess), events.IdentitySubject("pri_1"))
	ask(topology.UserOperator, "3", api+"CONSUMER.INFO.DSR_EVENTS."+observer)

	for _, target := range targets {
		for mark, want := range map[string]bool{"1": false, "2": false, "3": true, observer: false, executor: false} {
			if got := stored(t, js.Conn(), fmt.Sprintf(target, mark), want); got != want {
				t.Errorf("an answer was stored at %s: %t", fmt.Sprintf(target, mark), got)
			}
		}
	}
}

// stored says whether there is a message; where there should be one it is waited
// for.
func stored(t *testing.T, nc *nats.Conn, subject string, want bool) bool {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for {
		msg, err := nc.Request("$JS.API.STREAM.MSG.GET."+streamFor(subject), fmt.Appendf(nil, `{"last_by_subj":%q}`, subject), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Message *json.RawMessage `json:"message"`
		}
		if err := json.Unmarshal(msg.Data, &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Message != nil || !want {
			return answer.Message != nil
		}
		select {
		case <-ticker.C:
		case <-deadline:
			return false
		}
	}
}

func streamFor(subject string) string {
	if bucket, ok := strings.CutPrefix(subject, "$KV."); ok {
		bucket, _, _ = strings.Cut(bucket, ".")
		return "KV_" + bucket
	}
	if strings.HasPrefix(subject, "dsr.work.") {
		return events.StreamWork
	}
	return events.StreamEvents
}

// What is asked for under a name can only be the consumer of that name.
func TestAdmission(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{
		"dsr.ask.consumer.orchestrator-facts", "dsr.ask.consumer.executor-deletion", "dsr.ask.consumer.observer-", "dsr.ask.consumer.observer-a.b", "dsr.ask.identity.observer-a",
	} {
		if _, ok := topology.AdmissionAt(subject); ok {
			t.Errorf("%s is admitted", subject)
		}
	}
	for name, test := range map[string]struct {
		user, request string
		admitted      bool
	}{
		"a durable":           {"observer-a", `{"stream_name":"DSR_EVENTS","config":{"durable_name":"observer-a","filter_subjects":["dsr.event.>"]}}`, true},
		"with both names":     {"observer-a", `{"stream_name":"DSR_EVENTS","config":{"durable_name":"observer-a","name":"observer-a"},"action":"update"}`, true},
		"nothing":             {"observer-a", ``, false},
		"no stream":           {"observer-a", `{"config":{"durable_name":"observer-a"}}`, false},
		"another stream":      {"observer-a", `{"stream_name":"DSR_WORK","config":{"durable_name":"observer-a"}}`, false},
		"another durable":     {"observer-a", `{"stream_name":"DSR_EVENTS","config":{"durable_name":"callback-facts"}}`, false},
		"another name":        {"observer-a", `{"stream_name":"DSR_EVENTS","config":{"durable_name":"observer-a","name":"callback-facts"}}`, false},
		"none that lasts":     {"observer-a", `{"stream_name":"DSR_EVENTS","config":{"name":"observer-a"}}`, false},
		"to a subject":        {"observer-a", `{"stream_name":"DSR_EVENTS","config":{"durable_name":"observer-a","deliver_subject":"dsr.work.command.x"}}`, false},
		"to a subject, big":   {"observer-a", `{"stream_name":"DSR_EVENTS","config":{"durable_name":"observer-a","Deliver_Subject":"dsr.work.command.x"}}`, false},
		"executions":          {"executor-access", `{"stream_name":"DSR_WORK","config":{"durable_name":"executor-access","filter_subject":"dsr.work.execute.access.*"}}`, true},
		"of another action":   {"executor-access", `{"stream_name":"DSR_WORK","config":{"durable_name":"executor-access","filter_subject":"dsr.work.execute.erasure.*"}}`, false},
		"all work":            {"executor-access", `{"stream_name":"DSR_WORK","config":{"durable_name":"executor-access"}}`, false},
		"two filters":         {"executor-access", `{"stream_name":"DSR_WORK","config":{"durable_name":"executor-access","filter_subjects":["dsr.work.>"]}}`, false},
		"two kinds of filter": {"executor-access", `{"stream_name":"DSR_WORK","config":{"durable_name":"executor-access","filter_subject":"dsr.work.execute.access.*","filter_subjects":["dsr.work.>"]}}`, false},
	} {
		admission, ok := topology.AdmissionAt("dsr.ask.consumer." + test.user)
		if !ok {
			t.Fatalf("%s is nobody", test.user)
		}
		got, err := admission.Admit([]byte(test.request))
		if (err == nil) != test.admitted || err != nil && !errors.Is(err, topology.ErrAdmission) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && !strings.Contains(string(got), test.user) {
			t.Errorf("%s became %s", name, got)
		}
	}
	// What is not known here is not handed on.
	admission := topology.AdmissionOf("observer-a")
	got, err := admission.Admit([]byte(`{"stream_name":"DSR_EVENTS","config":{"durable_name":"observer-a","direct":true,"new":1},"new":1}`))
	if err != nil || strings.Contains(string(got), "direct") || strings.Contains(string(got), "new") {
		t.Errorf("%s, %v", got, err)
	}
}
