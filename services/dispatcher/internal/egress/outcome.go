package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"syscall"

	"code.dny.dev/ssrf"

	"github.com/parley-dsr/parley/pkg/events"
)

// Outcome names, with the constants of pkg/events, how a call ended that gave
// the answer and the error. The status decides only where there is no error.
func Outcome(answer Answer, err error) string {
	if err != nil {
		return outcomeOf(err)
	}
	switch {
	case answer.Status >= http.StatusBadRequest:
		return events.OutcomeStatus
	case answer.Status >= http.StatusMultipleChoices:
		return events.OutcomeRedirect
	}
	return events.OutcomeOK
}

func outcomeOf(err error) string {
	switch {
	case errors.Is(err, ErrURL), errors.Is(err, ErrHeader):
		return events.OutcomeUnconfigured
	case errors.Is(err, ErrPlain), errors.Is(err, ssrf.ErrProhibitedIP),
		errors.Is(err, ssrf.ErrProhibitedNetwork), errors.Is(err, ssrf.ErrProhibitedPort),
		errors.Is(err, ssrf.ErrInvalidHostPort):
		return events.OutcomeForbidden
	case errors.Is(err, ErrTooLarge):
		return events.OutcomeTooLarge
	case errors.Is(err, ErrEncoding):
		return events.OutcomeInvalid
	case isTimeout(err):
		return events.OutcomeTimeout
	case isTLS(err):
		return events.OutcomeTLS
	case isDNS(err):
		return events.OutcomeDNS
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH),
		errors.Is(err, syscall.ENETUNREACH):
		return events.OutcomeRefused
	}
	return events.OutcomeReset
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

func isTLS(err error) bool {
	// An alert has no type of its own, only the operation in which it came up.
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	var (
		record   tls.RecordHeaderError
		verify   *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	return errors.As(err, &record) || errors.As(err, &verify) || errors.As(err, &unknown) ||
		errors.As(err, &hostname) || errors.As(err, &invalid)
}

func isDNS(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns)
}
