package lifecycle

import (
	"fmt"
	"strings"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// Texts of log entries. Clients know the ones of contract §12 and §13 by heart.
const (
	// MessageExpired is the entry of an expired halt or identity (contract §12).
	MessageExpired = "Privacy request has expired. Please resubmit information."

	messageAutoApproved        = "Request auto-approved by pre-approval webhooks"
	messagePreApprovalTimeout  = "Not all pre-approval webhooks replied in time. The request waits for a person."
	messagePreApprovalNoneLeft = "No pre-approval webhook is left that could reply. The request waits for a person."
	messageImmediate           = "No executor is configured: the webhooks did the work."
)

// MessageNoRule is the entry of a policy that has no rule (contract §8).
func MessageNoRule(policyKey string) string {
	return fmt.Sprintf("Policy with key %s must contain at least one Rule.", policyKey)
}

func messagePolicyGone(policyKey string) string {
	return fmt.Sprintf("Policy with key %s does not exist", policyKey)
}

func messageTriggered(hooks []record.Webhook) string {
	names := make([]string, len(hooks))
	for i, h := range hooks {
		names[i] = h.Name
	}
	return "Triggered pre-approval webhooks: " + strings.Join(names, ", ")
}

func messageEligible(hook record.Webhook) string {
	return fmt.Sprintf("Pre-approval webhook '%s' responded: eligible", hook.Name)
}

func messageNotEligible(hook record.Webhook) string {
	return fmt.Sprintf("Request flagged for manual review by pre-approval webhooks. Webhook '%s' responded: not eligible", hook.Name)
}

func messageCallTimeout(hook *record.Webhook, w *record.Wait) string {
	return fmt.Sprintf("Webhook '%s' returned an error: the call was not completed within %s", keyOf(hook), w.Until.Sub(w.Since).Round(time.Second))
}

func messageExecutionTimeout(step record.Step, limit time.Duration) string {
	return fmt.Sprintf("The %s execution neither ended nor reported progress within %s.", step, limit)
}

func messageExecutionFailed(text string) string {
	if text = record.LogText(text); text == "" {
		return "The execution failed."
	}
	return text
}

// failureOf gives reason and log text of a call that ended without a usable
// answer.
func failureOf(hook *record.Webhook, f *WebhookFact) (reason, message string) {
	text := f.Data.Error
	if text == "" {
		text = "no usable answer"
	}
	switch f.Data.Outcome {
	case events.OutcomeInvalid:
		return events.ReasonWebhookInvalidAnswer,
			fmt.Sprintf("Webhook '%s' returned an invalid response format: %s", keyOf(hook), text)
	case events.OutcomeIdentityGone:
		return events.ReasonIdentityExpired, MessageExpired
	case events.OutcomeDeadline:
		reason = events.ReasonWebhookTimeout
	default:
		reason = events.ReasonWebhookFailed
	}
	return reason, fmt.Sprintf("Webhook '%s' returned an error: %s", keyOf(hook), text)
}

func keyOf(hook *record.Webhook) string {
	if hook == nil {
		return ""
	}
	return hook.Key
}
