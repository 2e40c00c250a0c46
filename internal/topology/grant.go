package topology

import (
	"slices"
	"strings"

	"github.com/parley-dsr/parley/pkg/events"
)

// grant is what one thing that a user does takes of NATS: it adds subjects to
// the user.
type grant func(*User)

// user makes a user that may do what the grants say, and use its own inboxes.
func user(name, purpose string, grants ...grant) User {
	u := User{Name: name, Purpose: purpose, Subscribe: []string{inboxes(name)}}
	for _, g := range grants {
		g(&u)
	}
	if u.Account == "" {
		publishes(rightsSubject)(&u) // parley doctor asks as each of them
	}
	for _, subjects := range []*[]string{&u.Publish, &u.Deny, &u.Subscribe} {
		slices.Sort(*subjects)
		*subjects = slices.Compact(*subjects)
	}
	return u
}

func publishes(subjects ...string) grant {
	return func(u *User) { u.Publish = append(u.Publish, subjects...) }
}

func listens(subjects ...string) grant {
	return func(u *User) { u.Subscribe = append(u.Subscribe, subjects...) }
}

// answers listens, and lets the user answer to wherever it was asked from.
func answers(subjects ...string) grant {
	return func(u *User) {
		listens(subjects...)(u)
		u.Answers = true
	}
}

// owns creates and changes streams.
func owns(streams ...string) grant {
	return func(u *User) {
		knows(streams...)(u)
		for _, s := range streams {
			publishes(api("STREAM.CREATE", s), api("STREAM.UPDATE", s))(u)
		}
	}
}

// knows sees that streams exist and how they are.
func knows(streams ...string) grant {
	return func(u *User) {
		for _, s := range streams {
			publishes(api("STREAM.INFO", s))(u)
		}
	}
}

// peeks reads messages of a stream by sequence or subject, and takes none.
func peeks(stream string) grant { return publishes(api("STREAM.MSG.GET", stream)) }

// reads gets keys of a bucket: from any replica where there is one, else from
// the leader.
func reads(bucket string) grant {
	return func(u *User) {
		knows(streamOf(bucket))(u)
		peeks(streamOf(bucket))(u)
		publishes(api("DIRECT.GET", streamOf(bucket), subjectOf(bucket, ">")))(u)
	}
}

// writes puts and removes keys of a bucket.
func writes(bucket, keys string) grant { return publishes(subjectOf(bucket, keys)) }

// lists goes through the keys of a bucket. The client does it by a consumer
// whose name it makes up, so that this takes a wildcard: only for streams of
// which the user owns every consumer.
func lists(bucket string) grant {
	stream := streamOf(bucket)
	return publishes(
		api("CONSUMER.CREATE", stream, "*", ">"), api("CONSUMER.DELETE", stream, "*"), api("CONSUMER.INFO", stream, "*"),
		"$JS.FC."+stream+".>",
	)
}

// consumes makes, uses and resets a durable consumer of that name. The client
// puts a filter into the subject if the consumer has just one.
func consumes(stream, consumer, filter string) grant {
	return func(u *User) {
		publishes(api("CONSUMER.CREATE", stream, consumer), api("CONSUMER.RESET", stream, consumer))(u)
		if filter != "" {
			publishes(api("CONSUMER.CREATE", stream, consumer, filter))(u)
		}
		takes(stream, consumer)(u)
	}
}

// takes uses a consumer that exists.
func takes(stream, consumer string) grant {
	return func(u *User) {
		publishes(api("CONSUMER.INFO", stream, consumer), api("CONSUMER.MSG.NEXT", stream, consumer))(u)
		publishes(acks(stream, consumer)...)(u)
	}
}

// restarts removes a consumer, to make it anew.
func restarts(stream, consumer string) grant {
	return publishes(api("CONSUMER.DELETE", stream, consumer))
}

// lanes makes, uses and resets the consumers of the lanes. There is one a connection,
// so this takes a wildcard for the name; the filter is bound to calls, and the
// consumers of the others are denied by name.
func lanes() grant {
	return func(u *User) {
		publishes(api("CONSUMER.CREATE", events.StreamWork, "*", events.CallFilter), api("CONSUMER.RESET", events.StreamWork, "*"))(u)
		takes(events.StreamWork, "*")(u)
		for _, other := range otherWorkers() {
			u.Deny = append(u.Deny, api("CONSUMER.CREATE", events.StreamWork, other, ">"), api("CONSUMER.RESET", events.StreamWork, other))
			u.Deny = append(u.Deny, api("CONSUMER.INFO", events.StreamWork, other), api("CONSUMER.MSG.NEXT", events.StreamWork, other))
			u.Deny = append(u.Deny, acks(events.StreamWork, other)...)
		}
	}
}

// otherWorkers are the consumers of the work stream that are no lanes.
func otherWorkers() []string {
	return []string{
		ConsumerCommands,
		events.ExecutorConsumer(events.ActionAccess),
		events.ExecutorConsumer(events.ActionErasure),
		events.ExecutorConsumer(events.ActionConsent),
	}
}

// tells publishes the facts of a user.
func tells(who string) grant { return publishes(facts(who)...) }

// filterOf is where facts of a type stand. The types are constants: a bad one
// would show in the table.
func filterOf(eventType string) string {
	filter, err := events.Filter(eventType)
	if err != nil {
		return err.Error()
	}
	return filter
}

// acks are where messages of a consumer are acknowledged: in the form that
// servers use, and in the longer one that they have announced, for a server
// that belongs to no domain.
func acks(stream, consumer string) []string {
	return []string{"$JS.ACK." + stream + "." + consumer + ".>", "$JS.ACK._.*." + stream + "." + consumer + ".>"}
}

func api(tokens ...string) string { return "$JS.API." + strings.Join(tokens, ".") }

func inboxes(user string) string { return events.InboxPrefix(user) + ".>" }
