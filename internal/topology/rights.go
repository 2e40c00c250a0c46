package topology

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// rightsSubject is where a server tells a user of its account what it may do.
const rightsSubject = "$SYS.REQ.USER.INFO"

// ErrRights is returned where a server does not tell what a user may do.
var ErrRights = errors.New("topology: the NATS server does not tell what the user may do")

// Rights are what a server lets a user do.
type Rights struct {
	// Everything is true for a user without limits.
	Everything               bool
	Publish, Deny, Subscribe []string
	Answers                  bool
}

// RightsOf asks the server what the user of a connection may do. Nothing is
// tried, and nothing changed.
func RightsOf(ctx context.Context, nc *nats.Conn) (Rights, error) {
	msg, err := nc.RequestWithContext(ctx, rightsSubject, nil)
	if err != nil {
		return Rights{}, fmt.Errorf("%w: %w", ErrRights, err)
	}
	type subjects struct {
		Allow []string `json:"allow"`
		Deny  []string `json:"deny"`
	}
	var told struct {
		Data *struct {
			Permissions *struct {
				Publish   subjects `json:"publish"`
				Subscribe subjects `json:"subscribe"`
				Responses *struct {
					MaxMsgs int `json:"max"`
				} `json:"responses"`
			} `json:"permissions"`
		} `json:"data"`
	}
	if err := json.Unmarshal(msg.Data, &told); err != nil || told.Data == nil {
		return Rights{}, ErrRights
	}
	p := told.Data.Permissions
	if p == nil || len(p.Publish.Allow) == 0 || len(p.Subscribe.Allow) == 0 {
		return Rights{Everything: true}, nil
	}
	return Rights{Publish: p.Publish.Allow, Deny: p.Publish.Deny, Subscribe: p.Subscribe.Allow, Answers: p.Responses != nil}, nil
}

// Deviations says what a service or the operator lacks of its row in the table,
// and what it has beyond it. Which executors and observers there are is the
// installation's: to make their consumers is not beyond it.
func (r Rights) Deviations(user string) (lacks, beyond []string) {
	all, err := Users(Access{})
	if err != nil {
		return nil, nil
	}
	for _, u := range all {
		if u.Name != user {
			continue
		}
		if r.Everything {
			return nil, []string{"everything"}
		}
		lacks = slices.Concat(without(u.Publish, r.Publish, "publish "), without(u.Subscribe, r.Subscribe, "subscribe "), without(r.Deny, u.Deny, "publish "))
		beyond = slices.Concat(without(r.Publish, u.Publish, "publish "), without(r.Subscribe, u.Subscribe, "subscribe "), without(u.Deny, r.Deny, "publish "))
		if u.Answers != r.Answers {
			lacks, beyond = one(u.Answers, lacks, "answer"), one(r.Answers, beyond, "answer")
		}
	}
	return lacks, slices.DeleteFunc(beyond, admissible)
}

// admissible are the consumers of executors and observers.
func admissible(right string) bool {
	subject, ok := strings.CutPrefix(right, "publish "+api("CONSUMER.CREATE", ""))
	_, consumer, named := strings.Cut(subject, ".")
	consumer, _, _ = strings.Cut(consumer, ".")
	return ok && named && right == "publish "+AdmissionOf(consumer).Subject()
}

// without are those of the one list that the other does not have.
func without(these, those []string, what string) []string {
	var left []string
	for _, s := range these {
		if !slices.Contains(those, s) {
			left = append(left, what+s)
		}
	}
	slices.Sort(left)
	return left
}

func one(when bool, to []string, what string) []string {
	if when {
		return append(to, what)
	}
	return to
}
