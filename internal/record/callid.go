package record

import (
	"fmt"
	"strconv"
	"strings"
)

// CallID names one call or execution: the request, the run, the phase, the
// webhook (the action, for an execution) and the order, a number that grows
// with every call, retry and resend of the run. As text it is one token of a
// subject and a key of a bucket:
//
//	pri_6f0c…-…_1_pre_pol_77aa…-…_3
//	pri_6f0c…-…_1_execute_erasure_4
type CallID struct {
	RequestID string
	Run       int
	Phase     string // pre, post, preapproval, execute
	Target    string // webhook id, or the action of an execution
	Order     int
}

// Phases in call ids; a phase must not contain the separator.
const (
	callPreApproval = "preapproval"
	callExecute     = "execute"
)

// WebhookCall gives the id of a call.
func WebhookCall(requestID string, run int, phase Phase, webhookID string, order int) CallID {
	name := string(phase)
	if phase == PreApproval {
		name = callPreApproval
	}
	return CallID{RequestID: requestID, Run: run, Phase: name, Target: webhookID, Order: order}
}

// ExecutionCall gives the id of an execution.
func ExecutionCall(requestID string, run int, action string, order int) CallID {
	return CallID{RequestID: requestID, Run: run, Phase: callExecute, Target: action, Order: order}
}

// WebhookPhase gives the phase of the webhook that the call is for, "" for an
// execution.
func (c CallID) WebhookPhase() Phase {
	switch c.Phase {
	case string(Pre):
		return Pre
	case string(Post):
		return Post
	case callPreApproval:
		return PreApproval
	}
	return ""
}

func (c CallID) String() string {
	return fmt.Sprintf("%s_%d_%s_%s_%d", c.RequestID, c.Run, c.Phase, c.Target, c.Order)
}

// ParseCallID reads what String wrote.
func ParseCallID(s string) (CallID, error) {
	bad := func() (CallID, error) {
		return CallID{}, fmt.Errorf("record: %q is not a call id", s)
	}
	parts := strings.Split(s, "_")
	if len(parts) < 6 || parts[0] != "pri" || parts[1] == "" {
		return bad()
	}
	run, err := strconv.Atoi(parts[2])
	if err != nil {
		return bad()
	}
	last := len(parts) - 1
	order, err := strconv.Atoi(parts[last])
	if err != nil {
		return bad()
	}
	c := CallID{
		RequestID: parts[0] + "_" + parts[1], Run: run, Phase: parts[3],
		Target: strings.Join(parts[4:last], "_"), Order: order,
	}
	if c.Target == "" || (c.Phase != callExecute && c.WebhookPhase() == "") || c.String() != s {
		return bad()
	}
	return c, nil
}
