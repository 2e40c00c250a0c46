package call

import (
	"fmt"

	"github.com/parley-dsr/parley/pkg/events"
)

// describe says in words how an attempt failed. An attempt without an answer
// is told as the existing system tells it, as a status of 500, with the reason
// behind.
func describe(outcome string, status int) string {
	failed := func(status int, reason string) string {
		text := fmt.Sprintf("Client call failed with status code '%d'", status)
		if reason != "" {
			text += ": " + reason
		}
		return text
	}
	switch outcome {
	case events.OutcomeStatus:
		return failed(status, "")
	case events.OutcomeRedirect:
		return failed(status, "redirects are not followed")
	case events.OutcomeRefused:
		return failed(500, "the connection was refused")
	case events.OutcomeReset:
		return failed(500, "the connection broke")
	case events.OutcomeDNS:
		return failed(500, "the host name did not resolve")
	case events.OutcomeTLS:
		return failed(500, "the TLS handshake failed")
	case events.OutcomeTimeout:
		return failed(500, "there was no complete answer in time")
	case events.OutcomeToken:
		return failed(500, "the OAuth token could not be fetched")
	case events.OutcomeForbidden:
		return failed(500, "calls to the address of the connection are not allowed")
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
	case events.OutcomePoison:
		return "the call was taken up too often without an end"
	}
	return "the call failed"
}
