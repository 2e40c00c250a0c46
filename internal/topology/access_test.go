package topology_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

func users(t *testing.T) []topology.User {
	t.Helper()
	all, err := topology.Users(topology.Access{Executors: []string{events.ActionAccess}, Observers: []string{"audit"}})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// eventTypes are the constants of pkg/events.
func eventTypes(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../pkg/events/types.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if value, err := strconv.Unquote(literal.Value); err == nil && strings.HasPrefix(value, "dev.parley.") {
				types = append(types, value)
			}
		}
		return true
	})
	if len(types) < 30 {
		t.Fatalf("%d types", len(types))
	}
	return types
}

// matches says whether a subject filter takes a subject, as the server does.
func matches(filter, subject string) bool {
	f, s := strings.Split(filter, "."), strings.Split(subject, ".")
	for i := range f {
		switch {
		case f[i] == ">":
			return len(s) > i
		case i >= len(s) || f[i] != "*" && f[i] != s[i]:
			return false
		}
	}
	return len(f) == len(s)
}

// Every type of fact is told by one user, and an observer tells none.
func TestEveryFactHasOneTeller(t *testing.T) {
	t.Parallel()
	for _, eventType := range eventTypes(t) {
		subject, err := events.Subject(eventType, "x")
		if err != nil {
			t.Fatal(err)
		}
		var tellers []string
		for _, u := range users(t) {
			if slices.ContainsFunc(u.Publish, func(filter string) bool { return matches(filter, subject) }) {
				tellers = append(tellers, u.Name)
			}
		}
		if len(tellers) != 1 {
			t.Errorf("%s is told by %v", eventType, tellers)
		}
	}
}

func TestUsersAreRefused(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]topology.Access{
		"an action that does not exist":  {Executors: []string{"deletion"}},
		"an action twice":                {Executors: []string{"access", "access"}},
		"an observer twice":              {Observers: []string{"audit", "audit"}},
		"two with one variable":          {Observers: []string{"a-b", "a_b"}},
		"two that differ in case":        {Observers: []string{"audit", "Audit"}},
		"an observer without a name":     {Observers: []string{""}},
		"a wildcard":                     {Observers: []string{"*"}},
		"two tokens":                     {Observers: []string{"a.b"}},
		"a line":                         {Observers: []string{"a\n}"}},
		"a name that has the prefix too": {Observers: []string{"observer-audit"}},
	} {
		if _, err := topology.Users(a); !errors.Is(err, topology.ErrUser) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The consumers of executors and observers have the names of their users, and
// what lists keys by consumers with any name lists streams of which it alone
// has consumers.
func TestWildcardsOnConsumersAreForOwners(t *testing.T) {
	t.Parallel()
	with := map[string][]string{}
	for _, u := range users(t) {
		for _, subject := range u.Publish {
			if rest, ok := strings.CutPrefix(subject, "$JS.API.CONSUMER.CREATE."); ok {
				stream, _, _ := strings.Cut(rest, ".")
				if !slices.Contains(with[stream], u.Name) {
					with[stream] = append(with[stream], u.Name)
				}
			}
		}
	}
	for _, u := range users(t) {
		for _, subject := range u.Publish {
			rest, ok := strings.CutPrefix(subject, "$JS.API.CONSUMER.CREATE.")
			stream, consumer, _ := strings.Cut(rest, ".")
			if !ok || !strings.HasPrefix(consumer, "*") {
				continue
			}
			alone := slices.Equal(with[stream], []string{u.Name})
			lanes := u.Name == topology.UserDispatcher && consumer == "*."+events.CallFilter
			if !alone && !lanes {
				t.Errorf("%s may make any consumer of %s, as may %v", u.Name, stream, with[stream])
			}
		}
	}
}

// What the dispatcher is denied are the consumers of the work stream that are
// no lanes: all that exist once everybody has started.
func TestLanesLeaveOtherConsumersAlone(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	if err := ensureAll(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	filters := map[string]string{topology.ConsumerCommands: events.CommandFilter}
	for _, action := range []string{events.ActionAccess, events.ActionErasure, events.ActionConsent} {
		filters[events.ExecutorConsumer(action)] = events.ExecuteFilter(action)
	}
	for name, filter := range filters {
		if _, err := js.CreateConsumer(t.Context(), events.StreamWork, jetstream.ConsumerConfig{
			Durable: name, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy,
		}); err != nil {
			t.Fatal(err)
		}
	}
	var dispatcher topology.User
	for _, u := range users(t) {
		if u.Name == topology.UserDispatcher {
			dispatcher = u
		}
	}
	stream, err := js.Stream(t.Context(), events.StreamWork)
	if err != nil {
		t.Fatal(err)
	}
	list := stream.ConsumerNames(t.Context())
	for name := range list.Name() {
		for _, subject := range []string{
			"$JS.API.CONSUMER.CREATE.DSR_WORK." + name + ".dsr.work.call.con_1.*",
			"$JS.API.CONSUMER.MSG.NEXT.DSR_WORK." + name, "$JS.ACK.DSR_WORK." + name + ".1.2.3.4.5",
		} {
			if !slices.ContainsFunc(dispatcher.Deny, func(filter string) bool { return matches(filter, subject) }) {
				t.Errorf("the dispatcher is not denied %s", subject)
			}
		}
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
}
