package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-dsr/parley/pkg/events"
)

// The users of NATS. Each service, each executor and each observer is one; its
// replicas share it. The name of a user is also that of its inboxes
// (events.InboxPrefix) and, for executors and observers, of its consumer.
const (
	UserConfig       = "config"
	UserOrchestrator = "orchestrator"
	UserDispatcher   = "dispatcher"
	UserCallback     = "callback"
	// UserOperator is who looks at an installation: parley lanes. It reads no
	// message.
	UserOperator = "operator"

	observerPrefix = "observer-"
)

// ObserverUser is the user of an event consumer, and the durable name under
// which it subscribes.
func ObserverUser(name string) string { return observerPrefix + name }

// ExecutorUser is the user of the executors of an action.
func ExecutorUser(action string) string { return events.ExecutorConsumer(action) }

// ErrUser is returned for an observer or executor that cannot be a user.
var ErrUser = errors.New("topology: bad user of NATS")

// User is who connects to NATS, and the least that it needs. Subjects that are
// not listed are refused by the server, those in Deny also where Publish has
// them.
type User struct {
	Name string
	// Purpose says what the user does, for readers of the configuration.
	Purpose string
	Publish []string
	// Deny are holes in Publish.
	Deny      []string
	Subscribe []string
	// Answers lets the user answer what it was asked.
	Answers bool
	// Account is the account that the user has for itself; see Apart. "" is that
	// of the services.
	Account string
	// Through says under which subject of the services' account something
	// arrives that a user apart publishes, where it is another one.
	Through map[string]string
}

// Access says which users there are beside the services and the operator.
type Access struct {
	// Executors are the actions for which there are executors.
	Executors []string
	// Observers are names of event consumers; see ObserverUser.
	Observers []string
}

// Users is the table of who may do what, in a fixed order. ErrUser for a name
// that cannot stand in a subject, an action that does not exist, or what is
// named twice.
func Users(a Access) ([]User, error) {
	users := []User{configUser(), orchestratorUser(a), dispatcherUser(), callbackUser(), operatorUser()}
	for _, action := range a.Executors {
		if !slices.Contains(actions(), action) {
			return nil, fmt.Errorf("%w: an executor is for one of %s", ErrUser, strings.Join(actions(), ", "))
		}
		users = append(users, executorUser(action))
	}
	for _, name := range a.Observers {
		if !events.ValidToken(name) || strings.HasPrefix(name, observerPrefix) {
			return nil, fmt.Errorf("%w: the name of an observer is made of letters, digits, '_' and '-', without %q", ErrUser, observerPrefix)
		}
		users = append(users, observerUser(ObserverUser(name)))
	}
	known := map[string]bool{}
	for _, u := range users {
		variable := KeyVariable(u.Name)
		if known[variable] {
			return nil, fmt.Errorf("%w: two would have the variable %s", ErrUser, variable)
		}
		known[variable] = true
	}
	return users, nil
}

// actions are those for which there can be executors.
func actions() []string {
	return []string{events.ActionAccess, events.ActionErasure, events.ActionConsent}
}

func configUser() User {
	return user(UserConfig, "config: publishes the catalog and what changed in it",
		owns(streamOf(BucketConfig)),
		reads(BucketConfig), writes(BucketConfig, ">"), lists(BucketConfig),
		tells(UserConfig),
		publishes(events.ProbeSubject("*"), events.PolicyUseFilter),
	)
}

func orchestratorUser(a Access) User {
	return user(UserOrchestrator, "orchestrator: owns the state of privacy requests",
		owns(events.StreamEvents, events.StreamWork, streamOf(BucketRequests), streamOf(BucketIdentities)),
		reads(BucketRequests), writes(BucketRequests, ">"), lists(BucketRequests),
		reads(BucketIdentities), writes(BucketIdentities, ">"), lists(BucketIdentities),
		reads(BucketConfig),
		peeks(events.StreamWork),
		// Who follows a request: reads its facts, and hears that there are more.
		peeks(events.StreamEvents), publishes(api("DIRECT.GET", events.StreamEvents)), listens("dsr.event.*.*.*"),
		// Pre-approval webhooks were changed.
		listens("dsr.event.config.preapproval.changed.*"),
		consumes(events.StreamWork, ConsumerCommands, events.CommandFilter),
		consumes(events.StreamEvents, ConsumerFacts, ""),
		consumes(events.StreamEvents, ConsumerProjectionEvents, ""), restarts(events.StreamEvents, ConsumerProjectionEvents),
		consumes(streamOf(BucketRequests), ConsumerProjectionRecords, ""), restarts(streamOf(BucketRequests), ConsumerProjectionRecords),
		tells(UserOrchestrator),
		publishes(events.CommandFilter, events.CallFilter, events.ExecuteFilter("*"), events.LaneHintSubject("*")),
		// The word that an API call or a reply waits for.
		publishes(inboxes(UserOrchestrator), inboxes(UserCallback)),
		answers(events.IdentitySubject("*"), events.PolicyUseFilter),
		admits(a),
	)
}

func dispatcherUser() User {
	return user(UserDispatcher, "dispatcher: calls the receivers",
		knows(events.StreamWork, events.StreamEvents),
		reads(BucketRequests), reads(BucketConfig),
		reads(BucketIdentities), writes(BucketIdentities, stagedKeys),
		peeks(events.StreamWork),
		// Whether an attempt was told that its lane has passed over.
		peeks(events.StreamEvents), publishes(api("DIRECT.GET", events.StreamEvents)),
		lanes(),
		tells(UserDispatcher),
		publishes(events.TimerFilter),
		listens(events.LaneHintSubject("*")),
		answers(events.ProbeSubject("*"), events.LanesSubject),
	)
}

func callbackUser() User {
	return user(UserCallback, "callback: takes replies and keeps the halts",
		owns(streamOf(BucketHalted)),
		reads(BucketHalted), writes(BucketHalted, ">"), lists(BucketHalted),
		knows(events.StreamEvents),
		reads(BucketRequests), reads(BucketConfig),
		reads(BucketIdentities), writes(BucketIdentities, stagedKeys),
		consumes(events.StreamEvents, ConsumerCallbackFacts, ""),
		consumes(streamOf(BucketHalted), ConsumerCallbackExpiry, ""),
		tells(UserCallback),
	)
}

func operatorUser() User {
	streams := []string{
		events.StreamEvents, events.StreamWork,
		streamOf(BucketRequests), streamOf(BucketIdentities), streamOf(BucketHalted), streamOf(BucketConfig),
	}
	look := []grant{knows(streams...), publishes(events.LanesSubject, api("INFO"), api("STREAM.NAMES"), api("STREAM.LIST"))}
	for _, stream := range streams {
		look = append(look, publishes(api("CONSUMER.INFO", stream, "*"), api("CONSUMER.NAMES", stream), api("CONSUMER.LIST", stream)))
	}
	return user(UserOperator, "operator: looks at streams, consumers and lanes, and reads no message", look...)
}

// executorUser makes the user of the executors of an action. Its consumer can
// have the filter of the action and no other.
func executorUser(action string) User {
	name := ExecutorUser(action)
	return user(name, "executors of "+action,
		apart(AdmissionOf(name)),
		takes(events.StreamWork, events.ExecutorConsumer(action)),
		tells(executors),
		publishes(events.IdentitySubject("*")),
	)
}

// observerUser makes the user of an event consumer: it reads facts, by one
// consumer that has its name.
func observerUser(name string) User {
	return user(name, "observer of the facts; subscribes with the durable name "+name,
		apart(AdmissionOf(name)),
		knows(events.StreamEvents),
		takes(events.StreamEvents, name),
	)
}

// executors stands for all executors in the table of facts.
const executors = "executor"

// stagedKeys are the keys of derived identities: <request>.<nonce>. What was
// provided stands under <request>, and is written by the orchestrator alone.
const stagedKeys = "*.*"

// facts are the subjects of the facts that a user publishes. Every type of fact
// has one user; where all facts about a noun have the same one, a type that a
// later version adds is in the table already.
func facts(user string) []string {
	switch user {
	case UserConfig:
		return []string{"dsr.event.config.*.changed.*"}
	case UserOrchestrator:
		return []string{"dsr.event.request.*.*", filterOf(events.WebhookRequested)}
	case UserDispatcher:
		return []string{
			filterOf(events.WebhookAttempted), filterOf(events.WebhookSucceeded), filterOf(events.WebhookHalted),
			filterOf(events.WebhookFailed), filterOf(events.WebhookSkipped), filterOf(events.WebhookUndelivered),
		}
	case UserCallback:
		return []string{"dsr.event.callback.*.*"}
	case executors:
		return []string{"dsr.event.execution.*.*"}
	}
	return nil
}
