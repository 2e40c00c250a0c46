//go:build faults

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// sign is something that can be seen from outside: by whoever subscribes to
// facts, reads a bucket, is called, or stands between a client and an edge. A
// process is killed the moment a sign is seen, in the goroutine that sees it.
type sign string

// points are the signs of the story, about in the order of their appearance.
func points() []sign {
	return []sign{
		beforeSubmission,
		"submission on its way", commandSent, "submission answered",
		"record created", "request.created", "request.started",
		"webhook.requested 1", "call 1 in flight", "call 1 answered", "webhook.succeeded 1",
		"webhook.requested 2", "call 2 in flight", "call 2 answered", "webhook.halted 2",
		"record paused", "request.paused", "halt kept",
		"resume on its way", "resume answered", "callback.resumed", "request.resumed",
		"webhook.requested 3", "call 3 in flight", "call 3 answered", "webhook.succeeded 3",
		"webhook.requested 4", "call 4 in flight", "call 4 answered", "webhook.succeeded 4",
		"record complete", "request.completed",
	}
}

const (
	beforeSubmission sign = "nothing submitted yet"
	commandSent      sign = "command sent"
)

// see tells the trial that runs of a sign.
func (g *ground) see(requestID string, s sign) {
	if tr := g.current.Load(); tr != nil {
		tr.see(requestID, s)
	}
}

// watch looks at facts, records and halts as they are published.
func (g *ground) watch() {
	g.t.Helper()
	for subject, look := range map[string]nats.MsgHandler{
		"dsr.work.command.*":                    func(*nats.Msg) { g.see("", commandSent) }, // it may not be stored
		events.SubjectAll:                       g.seeFact,
		"$KV." + topology.BucketRequests + ".>": g.seeRecord,
		"$KV." + topology.BucketHalted + ".>":   g.seeHalt,
	} {
		if _, err := g.nc.Subscribe(subject, look); err != nil {
			g.t.Fatal(err)
		}
	}
	if err := g.nc.Flush(); err != nil {
		g.t.Fatal(err)
	}
}

func (g *ground) seeFact(m *nats.Msg) {
	e, err := events.Decode(m.Header, m.Data)
	if err != nil || strings.HasPrefix(e.Type(), "dev.parley.config.") {
		return
	}
	name := factName(e)
	if strings.HasPrefix(name, "webhook.") {
		var data events.WebhookData
		if err := e.DataAs(&data); err != nil {
			return
		}
		name = fmt.Sprintf("%s %d", name, data.Order)
	}
	g.see(e.Subject(), sign(name))
}

// factName is the type without what all types have.
func factName(e events.Event) string {
	return strings.TrimSuffix(strings.TrimPrefix(e.Type(), "dev.parley."), ".v1")
}

func (g *ground) seeRecord(m *nats.Msg) {
	var rec record.Record
	if topology.IsMarker(m.Header) || json.Unmarshal(m.Data, &rec) != nil {
		return
	}
	switch {
	case rec.Revision == 1:
		g.see(rec.ID, "record created")
	case rec.Status == record.Paused:
		g.see(rec.ID, "record paused")
	case rec.Status == record.Complete:
		g.see(rec.ID, "record complete")
	}
}

func (g *ground) seeHalt(m *nats.Msg) {
	call, err := record.ParseCallID(topology.KeyOfSubject(m.Subject))
	if err != nil || topology.IsMarker(m.Header) {
		return
	}
	g.see(call.RequestID, "halt kept")
}

// script is the receiver: it answers by what the call says, so that a repeat
// gets the answer that the first one got.
func (g *ground) script() receiver.Answer {
	return receiver.Answer{Decide: func(c receiver.Call) receiver.Answer {
		p, err := c.Payload()
		if err != nil {
			return receiver.Status(http.StatusBadRequest)
		}
		n := turn(p)
		g.see(p.PrivacyRequestID, sign(fmt.Sprintf("call %d in flight", n)))
		answer := receiver.Continue()
		if n == 2 {
			answer = receiver.DeriveAndHalt(map[string]any{"phone_number": derivedPhone})
		}
		answer.Sent = func() { g.see(p.PrivacyRequestID, sign(fmt.Sprintf("call %d answered", n))) }
		return answer
	}}
}

// turn is which of the story's four calls a payload belongs to.
func turn(p receiver.Payload) int {
	switch {
	case p.CallbackType == "post":
		return 4
	case p.Direction == "one_way":
		return 1
	case p.Identity["phone_number"] == nil:
		return 2
	}
	return 3
}

// RoundTrip implements http.RoundTripper for the proxy: it sees what clients
// send and what they are answered.
func (g *ground) RoundTrip(r *http.Request) (*http.Response, error) {
	what := ""
	switch {
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/privacy-request"):
		what = "submission"
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/resume"):
		what = "resume"
	default:
		return http.DefaultTransport.RoundTrip(r)
	}
	trace := &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		if info.Err == nil {
			g.see("", sign(what+" on its way"))
		}
	}}
	resp, err := http.DefaultTransport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if resp.StatusCode == http.StatusOK {
		g.see("", sign(what+" answered"))
	}
	return resp, nil
}
