package events

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// Streams and the roots of their subjects.
const (
	// StreamEvents holds the facts.
	StreamEvents = "DSR_EVENTS"
	// StreamWork holds commands, calls, executions and their timers.
	StreamWork = "DSR_WORK"

	// SubjectAll matches every fact.
	SubjectAll = "dsr.event.>"

	eventRoot   = "dsr.event."
	typePrefix  = "dev.parley."
	typeVersion = ".v1"
)

// ValidToken says whether s may stand as one token of a subject: the ids of
// requests, connections and calls are made of these characters only.
func ValidToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != ""
}

// Subject gives the subject under which a fact of the given type about the
// given request is published: "dev.parley.webhook.halted.v1" about "pri_1"
// stands under "dsr.event.webhook.halted.pri_1".
func Subject(eventType, requestID string) (string, error) {
	noun, ok := strings.CutPrefix(eventType, typePrefix)
	if !ok {
		return "", fmt.Errorf("%w: %q does not begin with %q", ErrType, eventType, typePrefix)
	}
	noun, ok = strings.CutSuffix(noun, typeVersion)
	if !ok {
		return "", fmt.Errorf("%w: %q does not end with %q", ErrType, eventType, typeVersion)
	}
	if !ValidToken(requestID) {
		return "", fmt.Errorf("%w: a subject token is made of letters, digits, '_' and '-'", ErrSubject)
	}
	return eventRoot + noun + "." + requestID, nil
}

// Filter gives the subject filter that matches the facts of one type about any
// request.
func Filter(eventType string) (string, error) {
	subject, err := Subject(eventType, "x")
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(subject, "x") + "*", nil
}

// WebhookFilter matches the facts about the webhook calls of one request.
func WebhookFilter(requestID string) string { return eventRoot + "webhook.*." + requestID }

// Commands, calls and executions: the subjects of the work stream.
const (
	// CommandFilter matches every command.
	CommandFilter = "dsr.work.command.*"
	// CallFilter matches every call of every lane.
	CallFilter = "dsr.work.call.*.*"
	// TimerFilter matches every message that waits for a retry.
	TimerFilter = "dsr.work.timer.*.*"
)

// CommandSubject is where commands about a request are published.
func CommandSubject(requestID string) string { return "dsr.work.command." + requestID }

// CallSubject is where calls of one lane about a request are published.
func CallSubject(connectionID, requestID string) string {
	return "dsr.work.call." + connectionID + "." + requestID
}

// LaneFilter matches the calls of one connection.
func LaneFilter(connectionID string) string { return "dsr.work.call." + connectionID + ".*" }

// LaneHintSubject is where (core NATS, nothing kept) the orchestrator tells the
// dispatchers that a lane has got work.
func LaneHintSubject(connectionID string) string { return "dsr.ask.lane." + connectionID }

// ExecuteSubject is where the work of an executor is published.
func ExecuteSubject(action, requestID string) string {
	return "dsr.work.execute." + action + "." + requestID
}

// ExecuteFilter matches the executions of one action about any request.
func ExecuteFilter(action string) string { return "dsr.work.execute." + action + ".*" }

// TimerSubject is where the message that waits for an attempt is scheduled.
func TimerSubject(callID string, attempt int) string {
	return fmt.Sprintf("dsr.work.timer.%s.%d", callID, attempt)
}

// IdentitySubject is where an executor asks for the person's identity.
func IdentitySubject(requestID string) string { return "dsr.ask.identity." + requestID }

// ProbeSubject is where the dispatchers are asked to see whether a connection
// can be reached. One of them answers.
func ProbeSubject(connectionID string) string { return "dsr.ask.probe." + connectionID }

// LanesSubject is where the dispatchers are asked for their lanes. Each of them
// answers.
const LanesSubject = "dsr.ask.lanes"

// InboxPrefix is where a user of NATS gets answers, for nats.CustomInboxPrefix:
// a server that has the permissions of deploy/nats lets a user see its own
// inboxes only.
func InboxPrefix(user string) string { return "_INBOX_" + user }

// KeyToken is how a key stands in a subject: in base64url without padding,
// since what users choose never becomes a token as it is.
func KeyToken(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

// PolicyUseSubject is where the orchestrators are asked whether a privacy
// request refers to a policy. One of them answers.
func PolicyUseSubject(policyKey string) string { return policyUseRoot + KeyToken(policyKey) }

// PolicyUseFilter matches the question about any policy.
const (
	PolicyUseFilter = policyUseRoot + "*"
	policyUseRoot   = "dsr.ask.policy."
)

// PolicyOfSubject is the policy that a question is about; ok is false for a
// subject of another kind.
func PolicyOfSubject(subject string) (policyKey string, ok bool) {
	token, ok := strings.CutPrefix(subject, policyUseRoot)
	key, err := base64.RawURLEncoding.DecodeString(token)
	return string(key), ok && err == nil
}
