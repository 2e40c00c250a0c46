package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/topology"
)

// nats looks at the server, its streams and consumers, and its clock.
func (e *examination) nats(ctx context.Context) {
	if e.patient.NATS == nil {
		e.skipped("nats", "no server is named", "PARLEY_NATS_URL names it.")
		return
	}
	nc, err := e.patient.NATS(topology.UserOperator)
	if err != nil {
		e.unreachable(err)
		return
	}
	defer nc.Close()
	if err := process.CheckServer(nc.ConnectedServerVersion(), nc.ConnectedUrl()); err != nil {
		e.wrong("nats", err.Error(), "Upgrade the NATS servers, one after the other.")
		return
	}
	e.ok("nats", fmt.Sprintf("version %s at %s", nc.ConnectedServerVersion(), nc.ConnectedUrlRedacted()))
	js, err := jetstream.New(nc)
	if err != nil {
		e.wrong("nats", plain(err), "")
		return
	}
	e.streams(ctx, js)
	e.consumers(ctx, js)
	for _, user := range e.patient.Users {
		e.permissions(ctx, user)
	}
}

func (e *examination) unreachable(err error) {
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		e.wrong("nats", plain(err), "PARLEY_NATS_CA_FILE names the certificate of the authority of NATS, and PARLEY_NATS_URL is tls:// with a name that its certificate has.")
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		e.wrong("nats", "refuses the login", "PARLEY_NATS_CREDENTIALS names the seed of the user "+topology.UserOperator+", and accounts.conf has its public key.")
	default:
		e.wrong("nats", plain(err), "Start NATS, or name it in PARLEY_NATS_URL.")
	}
}

// streams checks that all are there and as this version makes them, and that
// the user may see them.
func (e *examination) streams(ctx context.Context, js jetstream.JetStream) {
	asking, cancel := context.WithTimeout(ctx, 3*askWithin)
	defer cancel()
	before := e.patient.Clock()
	found := topology.Inspect(asking, js)
	after := e.patient.Clock()
	replicas := map[string][]string{}
	clocked := false
	for _, s := range found {
		name := "stream " + s.Name
		switch {
		case errors.Is(s.Err, jetstream.ErrStreamNotFound):
			e.wrong(name, "does not exist", "Start "+s.Owner+", which makes it. Has NATS lost its store? See \"Restore\" in docs/operations.md.")
		case s.Err != nil && (errors.Is(s.Err, context.DeadlineExceeded) || errors.Is(s.Err, nats.ErrPermissionViolation)):
			e.wrong(name, "cannot be looked at: no answer", "Either the cluster has no leader for it, or the user may not ask: compare accounts.conf with parley nats accounts.")
		case s.Err != nil:
			e.wrong(name, "cannot be looked at: "+plain(s.Err), "Look at the log of the NATS server.")
		case len(s.Deviations) > 0:
			e.wrong(name, strings.Join(s.Deviations, "; "), "Restart "+s.Owner+": it puts its streams right. What it cannot change has to be made anew.")
		default:
			e.ok(name, fmt.Sprintf("%d messages, %d replicas", s.Info.State.Msgs, s.Info.Config.Replicas))
		}
		if s.Info == nil {
			continue
		}
		add(replicas, fmt.Sprint(s.Info.Config.Replicas), s.Name)
		if !clocked && !s.Info.TimeStamp.IsZero() {
			clocked = true
			e.skew("nats clock", s.Info.TimeStamp, before, after)
		}
	}
	if len(replicas) > 1 {
		e.agree("replicas", replicas, "%s", "Set the same PARLEY_NATS_REPLICAS for config, orchestrator and callback, and restart them.")
	}
}

func (e *examination) consumers(ctx context.Context, js jetstream.JetStream) {
	asking, cancel := context.WithTimeout(ctx, 3*askWithin)
	defer cancel()
	missing, err := topology.InspectConsumers(asking, js)
	switch {
	case err != nil:
		e.wrong("consumers", "cannot be looked at: "+plain(err), "Compare accounts.conf with parley nats accounts; look at the log of the NATS server.")
	case len(missing) > 0:
		e.wrong("consumers", "missing: "+strings.Join(missing, ", "), "Start the services after which they are named (readmodel-… is the orchestrator with its database): each makes its own.")
	default:
		e.ok("consumers", "all are there")
	}
}

// plain is an error without addresses that hold a login.
func plain(err error) string {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	return err.Error()
}
