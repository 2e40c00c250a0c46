package e2e

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/cmd/parley/internal/story"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// TestPermissionsAreEnough plays the story with the NATS configuration that is
// shipped, TLS and permissions enforced, beside an executor, an observer and
// the commands of an operator. Nothing is refused to anybody.
func TestPermissionsAreEnough(t *testing.T) {
	t.Parallel()
	g := setupGuarded(t, shippedNATS, shippedUsers, map[string]string{"PARLEY_EXECUTION": "external"})
	g.startAll(serviceNames...)
	executed := g.execute(t, events.ActionErasure)
	observer := g.observer(t, "observer-audit")

	tale := &story.Story{Cast: story.Published()}
	g.play(tale)
	if email := <-executed; email != tale.Cast.DerivedEmail {
		t.Errorf("the executor was told %q", email)
	}
	observer.awaitCompleted(tale.RequestID)

	// What the story does not do: a probe, the question who uses a policy, the
	// list of halts, and the commands that act as services.
	if answer := g.get(t, "/api/v1/connection/test_webhook_connection_config/test?probe=true", tale.Token()); !strings.Contains(answer, "passed") {
		t.Errorf("the probe: %s", answer)
	}
	if status, answer := g.try(http.MethodDelete, "/api/v1/dsr/policy/erasure_policy", tale.Token(), nil); status != http.StatusConflict {
		t.Errorf("the policy that is in use: %d %s", status, answer)
	}
	for _, command := range [][]string{{"halts"}, {"lanes"}, {"reconcile"}} {
		g.parley(command...)
	}
	g.doctor(t)
	g.refuseDelivery(t, topology.ObserverUser("audit"), events.StreamEvents, "")
	g.refuseDelivery(t, topology.ExecutorUser(events.ActionErasure), events.StreamWork, events.ExecuteFilter(events.ActionErasure))
	for _, line := range g.violations() {
		t.Error(line)
	}
}

// doctor finds nothing wrong, and has looked at what each service may do.
func (g *guarded) doctor(t *testing.T) {
	t.Helper()
	args := []string{"doctor"}
	for _, name := range serviceNames {
		args = append(args, "--service", name+"=http://"+g.services[name].addr)
	}
	said := g.parley(args...)
	for _, user := range append([]string{topology.UserOperator}, serviceNames...) {
		if !strings.Contains(said, "OK     permissions of "+user+": are those of this version") {
			t.Errorf("the doctor does not say that the permissions of %s are in order:\n%s", user, said)
		}
	}
}

// refuseDelivery asks for the user's consumer with delivery to a subject of the
// services: it is refused, with the reason, and nothing is delivered there.
func (g *guarded) refuseDelivery(t *testing.T, user, stream, filter string) {
	t.Helper()
	js, err := jetstream.New(g.as(t, user, io.Discard), jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	config := jetstream.ConsumerConfig{Durable: user, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy, DeliverSubject: "dsr.work.command.pri_1"}
	_, err = js.CreateOrUpdatePushConsumer(t.Context(), stream, config)
	if err == nil || !strings.Contains(err.Error(), "messages are pulled") {
		t.Errorf("%s with delivery to a subject: %v", user, err)
	}
}

func (g *guarded) get(t *testing.T, path, token string) string {
	t.Helper()
	status, answer := g.try(http.MethodGet, path, token, nil)
	if status != http.StatusOK {
		t.Fatalf("%s answered %d: %s", path, status, answer)
	}
	return string(answer)
}

// execute takes part as an executor and gives the e-mail addresses it is told.
func (g *guarded) execute(t *testing.T, action string) <-chan string {
	t.Helper()
	told := make(chan string, 16)
	nc := g.as(t, topology.ExecutorUser(action), io.Discard)
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); <-ended })
	go func() {
		defer close(ended)
		_ = events.Execute(ctx, nc, action, func(ctx context.Context, task *events.ExecutionTask) error {
			if err := task.Progress(ctx, "begun"); err != nil {
				return err
			}
			email, _ := task.Person.Identity["email"].(string)
			told <- email
			return nil
		})
	}()
	return told
}

// observer starts the example subscriber as a user.
func (g *guarded) observer(t *testing.T, user string) *child {
	t.Helper()
	c := g.subscriber(user, "-durable", user, "-nkey", filepath.Join(g.seeds, user+".nk"), "-ca", g.ca)
	c.start()
	return c
}

// power is something that can be done on NATS, and who may do it.
type power struct {
	name    string
	publish string // a subject; else subscribe is one
	listen  string
	whose   []string
}

// powers are written from what each user is there for, and not from the table
// that the permissions are made of.
func powers() []power {
	const o, d, c, config, operator = "orchestrator", "dispatcher", "callback", "config", "operator"
	const access, erasure, consent = "executor-access", "executor-erasure", "executor-consent"
	const audit, other = "observer-audit", "observer-other"
	return []power{
		{name: "approve by a fact", publish: "dsr.event.request.approved.pri_1", whose: []string{o}},
		{name: "complete by a fact", publish: "dsr.event.request.completed.pri_1", whose: []string{o}},
		{name: "say that a call was ordered", publish: "dsr.event.webhook.requested.pri_1", whose: []string{o}},
		{name: "say that a call succeeded", publish: "dsr.event.webhook.succeeded.pri_1", whose: []string{d}},
		{name: "say that a call halted", publish: "dsr.event.webhook.halted.pri_1", whose: []string{d}},
		{name: "resume", publish: "dsr.event.callback.resumed.pri_1", whose: []string{c}},
		{name: "let a halt expire", publish: "dsr.event.callback.expired.pri_1", whose: []string{c}},
		{name: "complete an execution", publish: "dsr.event.execution.completed.pri_1", whose: []string{access, erasure, consent}},
		{name: "say that a policy changed", publish: "dsr.event.config.policy.changed.a2V5", whose: []string{config}},
		{name: "a fact of another kind", publish: "dsr.event.other.done.pri_1"},

		{name: "command", publish: "dsr.work.command.pri_1", whose: []string{o}},
		{name: "order a call", publish: "dsr.work.call.con_1.pri_1", whose: []string{o}},
		{name: "order an execution", publish: "dsr.work.execute.erasure.pri_1", whose: []string{o}},
		{name: "put off a call", publish: "dsr.work.timer.pri_1_1.2", whose: []string{d}},

		{name: "read the vault", publish: "$JS.API.DIRECT.GET.KV_dsr_identities.$KV.dsr_identities.pri_1", whose: []string{o, d, c}},
		{name: "read the vault at its leader", publish: "$JS.API.STREAM.MSG.GET.KV_dsr_identities", whose: []string{o, d, c}},
		{name: "read the vault by number", publish: "$JS.API.DIRECT.GET.KV_dsr_identities"},
		{name: "go through the vault", publish: "$JS.API.CONSUMER.CREATE.KV_dsr_identities.x.$KV.dsr_identities.>", whose: []string{o}},
		{name: "go through the vault in the old way", publish: "$JS.API.CONSUMER.DURABLE.CREATE.KV_dsr_identities.x"},
		{name: "copy the vault", publish: "$JS.API.STREAM.SNAPSHOT.KV_dsr_identities"},
		{name: "overhear the vault", listen: "$KV.dsr_identities.>"},
		{name: "change what a person provided", publish: "$KV.dsr_identities.pri_1", whose: []string{o}},
		{name: "stage what was derived", publish: "$KV.dsr_identities.pri_1.n1", whose: []string{o, d, c}},

		{name: "read a record", publish: "$JS.API.DIRECT.GET.KV_dsr_requests.$KV.dsr_requests.pri_1", whose: []string{o, d, c}},
		{name: "write a record", publish: "$KV.dsr_requests.pri_1", whose: []string{o}},
		{name: "read the catalog", publish: "$JS.API.DIRECT.GET.KV_dsr_config.$KV.dsr_config.settings", whose: []string{config, o, d, c}},
		{name: "write the catalog", publish: "$KV.dsr_config.settings", whose: []string{config}},
		{name: "halt", publish: "$KV.dsr_halted.pri_1_1", whose: []string{c}},
		{name: "read a halt", publish: "$JS.API.DIRECT.GET.KV_dsr_halted.$KV.dsr_halted.pri_1_1", whose: []string{c}},
		{name: "peek at the work", publish: "$JS.API.STREAM.MSG.GET.DSR_WORK", whose: []string{o, d}},
		{name: "peek at the facts", publish: "$JS.API.DIRECT.GET.DSR_EVENTS", whose: []string{o, d}},
		{name: "peek at the facts at their leader", publish: "$JS.API.STREAM.MSG.GET.DSR_EVENTS", whose: []string{o, d}},
		{name: "hear facts without taking them", listen: "dsr.event.*.*.*", whose: []string{o}},

		{name: "subscribe to the facts", publish: "$JS.API.CONSUMER.CREATE.DSR_EVENTS.observer-audit", whose: []string{audit, o}},
		{name: "subscribe to the facts as another", publish: "$JS.API.CONSUMER.CREATE.DSR_EVENTS.observer-other", whose: []string{other, o}},
		{name: "subscribe to the facts as anybody", publish: "$JS.API.CONSUMER.CREATE.DSR_EVENTS.anybody"},
		{name: "subscribe to the facts without a name", publish: "$JS.API.CONSUMER.CREATE.DSR_EVENTS"},
		{name: "take facts of an observer", publish: "$JS.API.CONSUMER.MSG.NEXT.DSR_EVENTS.observer-audit", whose: []string{audit}},
		{name: "acknowledge facts of an observer", publish: "$JS.ACK.DSR_EVENTS.observer-audit.1.1.1.1.0", whose: []string{audit}},
		{name: "acknowledge facts of an observer in the new way", publish: "$JS.ACK._.hash.DSR_EVENTS.observer-audit.1.1.1.1.0", whose: []string{audit}},
		{name: "remove an observer", publish: "$JS.API.CONSUMER.DELETE.DSR_EVENTS.observer-audit"},
		{name: "begin again as an observer", publish: "$JS.API.CONSUMER.RESET.DSR_EVENTS.observer-audit"},
		{name: "hold an observer", publish: "$JS.API.CONSUMER.PAUSE.DSR_EVENTS.observer-audit"},
		{name: "change what the orchestrator hears", publish: "$JS.API.CONSUMER.CREATE.DSR_EVENTS.orchestrator-facts", whose: []string{o}},
		{name: "take facts of the orchestrator", publish: "$JS.API.CONSUMER.MSG.NEXT.DSR_EVENTS.orchestrator-facts", whose: []string{o}},
		{name: "change what the callback service hears", publish: "$JS.API.CONSUMER.CREATE.DSR_EVENTS.callback-facts", whose: []string{c}},
		{name: "hear expiries", publish: "$JS.API.CONSUMER.CREATE.KV_dsr_halted.callback-expiry", whose: []string{c}},

		{name: "take commands", publish: "$JS.API.CONSUMER.MSG.NEXT.DSR_WORK.orchestrator-commands", whose: []string{o}},
		{name: "acknowledge commands", publish: "$JS.ACK.DSR_WORK.orchestrator-commands.1.1.1.1.0", whose: []string{o}},
		{name: "acknowledge commands in the new way", publish: "$JS.ACK._.hash.DSR_WORK.orchestrator-commands.1.1.1.1.0", whose: []string{o}},
		{name: "make commands a lane", publish: "$JS.API.CONSUMER.CREATE.DSR_WORK.orchestrator-commands.dsr.work.call.con_1.*"},
		{name: "make a lane of commands", publish: "$JS.API.CONSUMER.CREATE.DSR_WORK.lane-con_1.dsr.work.command.*"},
		{name: "make a lane", publish: "$JS.API.CONSUMER.CREATE.DSR_WORK.lane-con_1.dsr.work.call.con_1.*", whose: []string{d}},
		{name: "make a lane of everything", publish: "$JS.API.CONSUMER.CREATE.DSR_WORK.lane-con_1"},
		{name: "take calls", publish: "$JS.API.CONSUMER.MSG.NEXT.DSR_WORK.lane-con_1", whose: []string{d}},
		{name: "be an executor", publish: "$JS.API.CONSUMER.CREATE.DSR_WORK.executor-erasure.dsr.work.execute.erasure.*", whose: []string{erasure, o}},
		{name: "be an executor of commands", publish: "$JS.API.CONSUMER.CREATE.DSR_WORK.executor-erasure.dsr.work.command.*"},
		{name: "be an executor of everything", publish: "$JS.API.CONSUMER.CREATE.DSR_WORK.executor-erasure"},
		{name: "take executions", publish: "$JS.API.CONSUMER.MSG.NEXT.DSR_WORK.executor-erasure", whose: []string{erasure}},
		{name: "acknowledge executions", publish: "$JS.ACK.DSR_WORK.executor-erasure.1.1.1.1.0", whose: []string{erasure}},

		{name: "ask who a person is", publish: "dsr.ask.identity.pri_1", whose: []string{access, erasure, consent}},
		{name: "hear who asks for a person", listen: "dsr.ask.identity.*", whose: []string{o}},
		{name: "ask for the consumer of an observer", publish: "dsr.ask.consumer.observer-audit", whose: []string{audit}},
		{name: "ask for the consumer of an executor", publish: "dsr.ask.consumer.executor-erasure", whose: []string{erasure}},
		{name: "ask for the consumer of a service", publish: "dsr.ask.consumer.orchestrator-facts"},
		{name: "hear who asks for a consumer", listen: "dsr.ask.consumer.*", whose: []string{o}},
		{name: "ask for a probe", publish: "dsr.ask.probe.con_1", whose: []string{config}},
		{name: "hear who asks for a probe", listen: "dsr.ask.probe.*", whose: []string{d}},
		{name: "ask for lanes", publish: "dsr.ask.lanes", whose: []string{operator}},
		{name: "hear of lanes", listen: "dsr.ask.lane.*", whose: []string{d}},

		{name: "overhear facts", listen: "dsr.event.>"},
		{name: "overhear work", listen: "dsr.work.>"},
		{name: "overhear everything", listen: ">"},
		{name: "overhear the API", listen: "$JS.API.>"},
		{name: "overhear all inboxes", listen: "_INBOX.>"},
		{name: "listen at the inboxes of the dispatcher", listen: "_INBOX_dispatcher.>", whose: []string{d}},
		{name: "listen at the inboxes of an observer", listen: "_INBOX_observer-audit.>", whose: []string{audit}},
		{name: "answer for the orchestrator", publish: "_INBOX_callback.x.y", whose: []string{o}},
		{name: "answer an observer", publish: "_INBOX_observer-audit.x.y"},

		{name: "change the stream of facts", publish: "$JS.API.STREAM.UPDATE.DSR_EVENTS", whose: []string{o}},
		{name: "purge the stream of facts", publish: "$JS.API.STREAM.PURGE.DSR_EVENTS"},
		{name: "delete the stream of facts", publish: "$JS.API.STREAM.DELETE.DSR_EVENTS"},
		{name: "delete a fact", publish: "$JS.API.STREAM.MSG.DELETE.DSR_EVENTS"},
		{name: "make a stream of its own", publish: "$JS.API.STREAM.CREATE.MINE"},
		{name: "change the catalog's stream", publish: "$JS.API.STREAM.UPDATE.KV_dsr_config", whose: []string{config}},
		{name: "move leaders", publish: "$JS.API.META.LEADER.STEPDOWN"},
		{name: "ask what it may do", publish: "$SYS.REQ.USER.INFO", whose: []string{config, o, d, c, operator}},
		{name: "ask the system", publish: "$SYS.REQ.SERVER.PING"},
	}
}

// TestPermissionsAreNoMore connects as each user and tries every power: what it
// does not need is refused, by the server that is shipped, and said in the log
// of the process; what it needs is not.
func TestPermissionsAreNoMore(t *testing.T) {
	t.Parallel()
	users := []string{"--executor", "access", "--executor", "erasure", "--executor", "consent", "--observer", "audit", "--observer", "other"}
	h := &house{t: t, dir: t.TempDir()}
	h.startProxy()
	g := guard(t, h, h.configWith(users), users)
	for _, user := range []string{
		topology.UserConfig, topology.UserOrchestrator, topology.UserDispatcher, topology.UserCallback, topology.UserOperator,
		"executor-access", "executor-erasure", "executor-consent", "observer-audit", "observer-other",
	} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			log := newLog(t, h.dir, user)
			nc := g.as(t, user, log)
			for _, p := range powers() {
				log.reset()
				refused, err := p.refused(t.Context(), nc)
				if err != nil {
					t.Fatalf("%s: %v", p.name, err)
				}
				if may := slices.Contains(p.whose, user); may == refused {
					t.Errorf("%s (%s%s): may: %t, refused: %t", p.name, p.publish, p.listen, may, refused)
				}
				if refused {
					eventually(t, func() (bool, string) {
						said := log.String()
						return strings.Contains(said, "NATS refuses what this user needs") && strings.Contains(said, p.publish+p.listen), said
					})
				}
			}
		})
	}
}

// configWith is the shipped configuration with other users.
func (h *house) configWith(users []string) string {
	h.t.Helper()
	dir := filepath.Join(h.dir, "config")
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(shippedNATS))); err != nil {
		h.t.Fatal(err)
	}
	accounts, err := exec.CommandContext(h.t.Context(), binary(h.t, "parley"), append([]string{"nats", "accounts"}, users...)...).Output()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "accounts.conf"), accounts, 0o600); err != nil {
		h.t.Fatal(err)
	}
	return filepath.Join(dir, filepath.Base(shippedNATS))
}

// refused tries a power and says whether the server refused it. The server
// tells before it answers the flush.
func (p power) refused(ctx context.Context, nc *nats.Conn) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	before := nc.LastError()
	if p.publish != "" {
		if err := nc.Publish(p.publish, nil); err != nil {
			return false, err
		}
	} else {
		sub, err := nc.SubscribeSync(p.listen)
		if err != nil {
			return false, err
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	if err := nc.FlushWithContext(ctx); err != nil {
		return false, err
	}
	after := nc.LastError()
	return after != before && errors.Is(after, nats.ErrPermissionViolation), nil //nolint:errorlint // another error or the same one
}
