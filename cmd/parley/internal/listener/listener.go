// Package listener is the receiver of somebody who develops webhooks: it takes
// any call on any path, prints it, answers by a script, and replies to it by
// itself. Parley's side can so be tried before there is a receiver, and a
// receiver can be compared with it.
//
// A resume that Parley cannot take at the moment (503, 429, no answer) is sent
// again, as every receiver should do. What is printed shows the person's data
// only where the developer asks for bodies, and the reply token never.
package listener

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
)

// Options of a listener.
type Options struct {
	// Addr is where to listen.
	Addr string
	// CertificateDir has TLS served, with a new authority whose certificate is
	// written there; empty serves plain HTTP.
	CertificateDir string
	// Origin is Parley's address, for replies.
	Origin string
	// Script says how calls are answered: one step a call, the last one for all
	// further calls.
	Script []Step
	// Secrets are signing secrets (whsec_…). If there are any, a call that none
	// of them has signed is answered 401.
	Secrets []string
	// Bodies prints also the bodies.
	Bodies bool
	// Out is where everything is printed.
	Out io.Writer
	// RetryAfter is the pause before a reply is sent again where Parley does
	// not say how long; 0 is 2 s.
	RetryAfter time.Duration
}

// Listener is a running listener.
type Listener struct {
	options  Options
	ctx      context.Context //nolint:containedctx // the life of the replies that are under way
	stop     context.CancelFunc
	receiver *receiver.Receiver
	secrets  []*standardwebhooks.Webhook
	replies  sync.WaitGroup

	mu   sync.Mutex // guards Out and step
	step int
}

// Start begins to listen. Close ends it.
func Start(ctx context.Context, o Options) (*Listener, error) {
	if len(o.Script) == 0 {
		o.Script = []Step{{}}
	}
	if o.RetryAfter == 0 {
		o.RetryAfter = 2 * time.Second
	}
	l := &Listener{options: o}
	for i, secret := range o.Secrets {
		key, err := standardwebhooks.NewWebhook(secret)
		if err != nil || !strings.HasPrefix(secret, "whsec_") {
			return nil, fmt.Errorf("secret %d takes whsec_ and base64, as the connection's signing_secret", i+1)
		}
		l.secrets = append(l.secrets, key)
	}
	l.ctx, l.stop = context.WithCancel(ctx)
	var err error
	l.receiver, err = receiver.Start(receiver.Options{
		Addr: o.Addr, Dir: o.CertificateDir, Plain: o.CertificateDir == "", Origin: o.Origin,
		Otherwise: l.decide, Forget: true,
	})
	if err != nil {
		l.stop()
		return nil, err
	}
	return l, nil
}

// URL is the address of a path.
func (l *Listener) URL(path string) string { return l.receiver.URL(path) }

// CAFile is the certificate of the authority, where TLS is served.
func (l *Listener) CAFile() string { return l.receiver.CAFile() }

// Close ends the listener and the replies that are under way.
func (l *Listener) Close() error {
	l.stop()
	err := l.receiver.Close()
	l.replies.Wait()
	return err
}

// decide is asked by the receiver for every call.
func (l *Listener) decide(c receiver.Call) receiver.Answer {
	verdict, good := l.verify(c)
	l.printCall(c, verdict)
	if !good {
		l.print("  answered 401: the signature is wrong")
		return receiver.Status(http.StatusUnauthorized)
	}
	step := l.next()
	answer := step.answer()
	answer.Sent = func() {
		l.print("  answered " + summary(answer))
		l.reply(c, step)
	}
	if step.Delay > 0 {
		held := make(chan struct{})
		time.AfterFunc(time.Duration(step.Delay), func() { close(held) })
		answer = answer.Until(held)
		l.print(fmt.Sprintf("  answers in %s", time.Duration(step.Delay)))
	}
	return answer
}

func (l *Listener) next() Step {
	l.mu.Lock()
	defer l.mu.Unlock()
	step := l.options.Script[l.step]
	l.step = min(l.step+1, len(l.options.Script)-1)
	return step
}

// verify says what the signature is worth.
func (l *Listener) verify(c receiver.Call) (verdict string, good bool) {
	switch {
	case len(l.secrets) == 0 && c.Header.Get(standardwebhooks.HeaderWebhookSignature) == "":
		return "not signed", true
	case len(l.secrets) == 0:
		return "signed, not verified: --secret does", true
	}
	var err error
	for _, secret := range l.secrets {
		if err = secret.Verify(c.Body, c.Header); err == nil {
			return "signature verified", true
		}
	}
	return "signature WRONG: " + strings.TrimPrefix(err.Error(), "unable to verify payload, err: "), false
}

// printCall prints what a developer looks for first.
func (l *Listener) printCall(c receiver.Call, verdict string) {
	lines := []string{fmt.Sprintf("%s %s  call %s", c.Method, c.Path, orDash(c.WebhookID()))}
	p, err := c.Payload()
	if err != nil {
		lines = append(lines, "  the body is not JSON")
	} else {
		lines = append(lines,
			fmt.Sprintf("  %s %s of %s, which is %s", orDash(p.CallbackType), orDash(p.Direction), orDash(p.PrivacyRequestID), orDash(p.PrivacyRequestStatus)),
			"  identity "+orDash(strings.Join(known(p.Identity), ", ")))
	}
	authorized := "without Authorization"
	if c.Header.Get("Authorization") != "" {
		authorized = "with Authorization"
	}
	if c.Certificate != nil {
		authorized += ", with a client certificate"
	}
	if c.Token() != "" {
		authorized += ", with a reply token"
	}
	lines = append(lines, "  "+verdict+", "+authorized)
	if l.options.Bodies {
		var pretty bytes.Buffer
		if json.Indent(&pretty, c.Body, "  ", "  ") != nil {
			pretty.Reset()
			_, _ = pretty.Write(c.Body)
		}
		lines = append(lines, "  "+pretty.String())
	}
	l.print(lines...)
}

// print prints lines together, the first with the time.
func (l *Listener) print(lines ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.options.Out, "%s %s\n", time.Now().Format("15:04:05"), strings.Join(lines, "\n         "))
}
