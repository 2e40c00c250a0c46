package topology

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/pkg/events"
)

// Executors and observers each have an account of NATS for themselves, into
// which the services' account exports the few subjects that they need. What the
// server answers to them stays in their account, wherever they want to have it:
// permissions say where a user may publish, and nothing of the reply that it
// names.
//
// The maker of a consumer may name a subject too, to which messages are then
// delivered. So what makes a consumer does not go to the server: it arrives at
// the orchestrator, which looks at it and has the server make it. For the client
// it is the API of JetStream as always.

// Admission is how the consumer of an executor or observer is made.
type Admission struct {
	// Stream and Consumer are what it may be, and Filter what it must have as
	// its filter; "" is any.
	Stream, Consumer, Filter string
}

// ErrAdmission says why a consumer is not made.
var ErrAdmission = errors.New("topology: the consumer is refused")

const (
	admissionRoot = "dsr.ask.consumer."
	// AdmissionFilter is where executors and observers ask for their consumers.
	AdmissionFilter = admissionRoot + "*"
)

// AdmissionOf is the admission of a user. The zero Admission stands for users
// that are neither executor nor observer.
func AdmissionOf(user string) Admission {
	if name, ok := strings.CutPrefix(user, observerPrefix); ok && events.ValidToken(name) {
		return Admission{Stream: events.StreamEvents, Consumer: user}
	}
	for _, action := range actions() {
		if user == ExecutorUser(action) {
			return Admission{Stream: events.StreamWork, Consumer: user, Filter: events.ExecuteFilter(action)}
		}
	}
	return Admission{}
}

// AdmissionAt is the admission that is asked for at a subject.
func AdmissionAt(subject string) (Admission, bool) {
	user, ok := strings.CutPrefix(subject, admissionRoot)
	a := AdmissionOf(user)
	return a, ok && a.Stream != ""
}

// Subject is where the server makes the consumer.
func (a Admission) Subject() string {
	if a.Filter == "" {
		return api("CONSUMER.CREATE", a.Stream, a.Consumer)
	}
	return api("CONSUMER.CREATE", a.Stream, a.Consumer, a.Filter)
}

// consumerRequest is what JetStream takes to make or change a consumer.
type consumerRequest struct {
	Stream string                   `json:"stream_name"`
	Config jetstream.ConsumerConfig `json:"config"`
	Action string                   `json:"action,omitempty"`
}

// Admit reads a request for a consumer and gives what may be handed to the
// server: the same, without what is not known here. ErrAdmission if the consumer
// would be another one, or would have messages delivered to a subject.
func (a Admission) Admit(request []byte) ([]byte, error) {
	var r consumerRequest
	if err := json.Unmarshal(request, &r); err != nil {
		return nil, fmt.Errorf("%w: it cannot be read", ErrAdmission)
	}
	c := r.Config
	switch {
	case r.Stream != a.Stream:
		return nil, fmt.Errorf("%w: the stream is %s", ErrAdmission, a.Stream)
	case c.Durable != a.Consumer || c.Name != "" && c.Name != a.Consumer:
		return nil, fmt.Errorf("%w: the durable name is %s", ErrAdmission, a.Consumer)
	case c.DeliverSubject != "" || c.DeliverGroup != "":
		return nil, fmt.Errorf("%w: messages are pulled, not delivered to a subject", ErrAdmission)
	case a.Filter != "" && (c.FilterSubject != a.Filter || len(c.FilterSubjects) > 0):
		return nil, fmt.Errorf("%w: the filter is %s", ErrAdmission, a.Filter)
	}
	return json.Marshal(r)
}

// admits answers executors and observers that ask for their consumers, and
// makes them.
func admits(a Access) grant {
	return func(u *User) {
		answers(AdmissionFilter)(u)
		for _, action := range a.Executors {
			publishes(AdmissionOf(ExecutorUser(action)).Subject())(u)
		}
		for _, name := range a.Observers {
			publishes(AdmissionOf(ObserverUser(name)).Subject())(u)
		}
	}
}

// apart gives the user an account of its own, and lets it ask for its consumer.
func apart(a Admission) grant {
	return func(u *User) {
		u.Account = AccountNATS + "_" + variable(u.Name)
		u.Through = map[string]string{a.Subject(): admissionRoot + a.Consumer}
		publishes(a.Subject())(u)
	}
}
