package call

import (
	"fmt"

	"github.com/parley-dsr/parley/pkg/events"
)

// describe says in words how an attempt failed. An attempt without an answer
// is told as the existing system tells it, as a status of 500, with the reason
// behind.
func describe(outcome string, status int) string {
	reason := Reason(outcome)
	switch outcome {
	case events.OutcomeStatus:
		return fmt.Sprintf("Client call failed with status code '%d'", status)
	case events.OutcomeRedirect:
		return fmt.Sprintf("Client call failed with status code '%d': %s", status, reason)
	case events.OutcomeRefused, events.OutcomeReset, events.OutcomeDNS, events.OutcomeTLS,
		events.OutcomeTimeout, events.OutcomeToken, events.OutcomeForbidden:
		return "Client call failed with status code '500': " + reason
	}
	return reason
}

// Reason says in words what an outcome means.
func Reason(outcome string) string {
	switch outcome {
	case events.OutcomeRedirect:
		return "redirects are not followed"
	case events.OutcomeRefused:
		return "the connection was refused"
	case events.OutcomeReset:
		return "the connection broke"
	case events.OutcomeDNS:
		return "the host name did not resolve"
	case events.OutcomeTLS:
		return "the TLS handshake failed"
	case events.OutcomeTimeout:
		return "there was no complete answer in time"
	case events.OutcomeToken:
		return "the OAuth token could not be fetched"
	case events.OutcomeForbidden:
		return "calls to the address of the connection are not allowed"
	case events.OutcomeTooLarge:
		return "the answer is larger than 1 MiB"
	case events.OutcomeInvalid:
		return "the answer cannot be decompressed"
	case events.OutcomeDisabled:
		return "the connection is disabled"
	case events.OutcomeUnconfigured:
		return "the connection does not exist or its secrets are not usable"
	case events.OutcomeIdentityGone:
		return "the identity has expired"
	case events.OutcomeDeadline:
		return "the call could not be completed in time"
	case events.OutcomeUnreadable:
		return "what the call needs cannot be opened with the keys of the dispatcher"
	case events.OutcomePoison:
		return "the call was taken up too often without an end"
	}
	return "the call failed"
}
