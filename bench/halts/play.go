package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/pkg/events"
)

// found is all that is measured.
type found struct {
	empty, paused, kept use
	first, listed       *lags
	restart             time.Duration
	resumed, answered   *lags
	marked, expired     *lags
}

// play plays everything.
func play(ctx context.Context, s size) error {
	h, err := build(ctx)
	if err != nil {
		return err
	}
	defer h.close()
	var f found
	if err := h.fill(ctx, s, &f); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	if f.restart, err = h.restart(ctx, s.sync); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	if err := h.resumeSome(ctx, s, &f); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	if err := h.expireSome(ctx, s, &f); err != nil {
		return fmt.Errorf("expire: %w", err)
	}
	if err := f.print(os.Stdout, s); err != nil {
		return err
	}
	return s.save(results{
		Halts: s.halts, BytesPerHalt: per(f.kept.resident-f.paused.resident, s.halts),
		ExpiryLagP99: f.marked.at(.99), ResumeP99: f.resumed.at(.99),
	})
}

// fill halts requests, first without a callback service, so that what the halts
// add to the requests can be told apart.
func (h *house) fill(ctx context.Context, s size, f *found) (err error) {
	if f.empty, err = h.use(ctx, s.settle); err != nil {
		return err
	}
	until := time.Now().Add(60 * time.Hour).UTC()
	err = all(s.halts, newProgress(os.Stderr, "pausing requests", s.halts), func(i int) error { return h.pauseRequest(ctx, i, until) })
	if err != nil {
		return err
	}
	if f.paused, err = h.use(ctx, s.settle); err != nil {
		return err
	}
	if err := h.serve(ctx); err != nil {
		return err
	}
	if err := h.awaitKept(ctx, s.halts); err != nil {
		return err
	}
	if f.kept, err = h.use(ctx, s.settle); err != nil {
		return err
	}
	f.first, f.listed, err = h.list(ctx, s.halts)
	return err
}

// list asks for pages of the halts, all over the list. For the first the service
// reads all of them.
func (h *house) list(ctx context.Context, halts int) (first, next *lags, err error) {
	now := time.Now()
	bearer, err := token.IssueAccess(h.ring, token.Access{
		ClientID: rootClient, Scopes: []string{"privacy-request:read"}, IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	})
	if err != nil {
		return nil, nil, err
	}
	first, next = &lags{}, &lags{}
	const size, pages = 100, 100
	for n := range 1 + pages {
		took, page := next, 1+n*(halts-1)/pages/size
		if n == 0 {
			took = first
		}
		began := time.Now()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/api/v1/halted?size=%d&page=%d", h.url, size, page), nil)
		if err != nil {
			return nil, nil, err
		}
		request.Header.Set("Authorization", "Bearer "+bearer)
		if err := send(http.DefaultClient, request); err != nil {
			return nil, nil, fmt.Errorf("list: %w", err)
		}
		took.add(time.Since(began))
	}
	return first, next, nil
}

// send sends a request, whose answer has to be 200.
func send(client *http.Client, request *http.Request) error {
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s: %s", answer.Status, text)
	}
	return err
}

// awaitKept waits until the callback service keeps so many halts.
func (h *house) awaitKept(ctx context.Context, n int) error {
	keeping := newProgress(os.Stderr, "keeping halts", n)
	for {
		info, err := h.halted.Stream().Info(ctx)
		if err != nil {
			return err
		}
		kept := int(info.State.Msgs) //nolint:gosec // it is a small number
		if kept >= n {
			return nil
		}
		keeping.at(kept)
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// resumeSome posts resumes at a fixed rate, whatever becomes of them. A time
// begins when its POST was due, so that waiting for the client counts, too.
func (h *house) resumeSome(ctx context.Context, s size, f *found) error {
	seen, failure := newWatcher(), atomic.Pointer[error]{}
	agreeing := make(chan jetstream.Msg, s.resumes)
	stop, err := h.watchFacts(ctx, events.CallbackResumed, seen, func(m jetstream.Msg) { agreeing <- m })
	if err != nil {
		return err
	}
	var orchestrating sync.WaitGroup
	for range writers {
		orchestrating.Go(func() {
			for m := range agreeing {
				if err := h.agree(ctx, m); err != nil {
					failure.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	posted, answered := h.post(ctx, s, &failure)
	stop()
	close(agreeing)
	orchestrating.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	f.resumed, f.answered = seen.since(posted), answered
	if f.resumed.count() != s.resumes {
		return fmt.Errorf("%d of %d resumes became facts", f.resumed.count(), s.resumes)
	}
	return nil
}

// post posts all resumes. It returns when each was due, and how long its answer
// took.
func (h *house) post(ctx context.Context, s size, failure *atomic.Pointer[error]) (map[string]time.Time, *lags) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	resuming := newProgress(os.Stderr, "resuming requests", s.resumes)
	begin := time.Now()
	posted, answered := make(map[string]time.Time, s.resumes), &lags{}
	var posting sync.WaitGroup
	for i := range s.resumes {
		due := begin.Add(time.Duration(float64(i) / s.rate * float64(time.Second)))
		posted[requestID(i)] = due
		if pause(ctx, time.Until(due)) != nil {
			break
		}
		posting.Go(func() {
			if err := h.resume(ctx, client, i); err != nil {
				failure.CompareAndSwap(nil, &err)
				return
			}
			answered.add(time.Since(due))
		})
		resuming.at(i + 1)
	}
	posting.Wait()
	return posted, answered
}

// resume posts one resume, with an identity, as a receiver does.
func (h *house) resume(ctx context.Context, client *http.Client, i int) error {
	now := time.Now()
	bearer, err := token.IssueReply(h.ring, token.Reply{
		WebhookID: webhook().ID, RequestID: requestID(i), CallID: callID(i), ID: "bench",
		Scopes: []string{token.ScopeResume}, IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	})
	if err != nil {
		return err
	}
	body := []byte(`{"derived_identity": {"phone_number": "+15555555555"}}`)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+"/privacy-request/"+requestID(i)+"/resume", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+bearer)
	return send(client, request)
}

// expireSome halts further requests and waits until their time is over.
func (h *house) expireSome(ctx context.Context, s size, f *found) error {
	markers, facts := newWatcher(), newWatcher()
	stopMarkers, err := h.watchMarkers(ctx, markers)
	if err != nil {
		return err
	}
	defer stopMarkers()
	stopFacts, err := h.watchFacts(ctx, events.CallbackExpired, facts, nil)
	if err != nil {
		return err
	}
	defer stopFacts()
	first := time.Now().Add(s.lead).UTC()
	due := make(map[string]time.Time, s.expiring)
	for i := range s.expiring {
		due[requestID(s.halts+i)] = first.Add(s.window * time.Duration(i) / time.Duration(s.expiring))
	}
	err = all(s.expiring, newProgress(os.Stderr, "pausing requests that expire", s.expiring), func(i int) error {
		return h.pauseRequest(ctx, s.halts+i, due[requestID(s.halts+i)])
	})
	if err != nil {
		return err
	}
	if time.Now().After(first) {
		return errLead
	}
	expiring := newProgress(os.Stderr, "waiting for expiries", s.expiring)
	for facts.count() < s.expiring {
		expiring.at(facts.count())
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	f.marked, f.expired = markers.since(due), facts.since(due)
	if f.marked.count() != s.expiring {
		return errLead
	}
	return nil
}

// errLead says that the first halts were due before all were kept.
var errLead = errors.New("halts were due before they were kept: -lead is too short for this machine")

func per(bytes int64, n int) float64 { return float64(bytes) / float64(n) }

// print prints what was found.
func (f *found) print(out io.Writer, s size) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(table, format+"\n", args...) }
	mega := func(bytes int64) float64 { return float64(bytes) / 1e6 }
	line("NATS\tresident\tin use\ton disk")
	for _, at := range []struct {
		name string
		use  use
	}{{"empty", f.empty}, {"requests paused", f.paused}, {"halts kept", f.kept}} {
		line("%s\t%.1f MB\t%.1f MB\t%.1f MB", at.name, mega(at.use.resident), mega(at.use.live), mega(at.use.disk))
	}
	line("a paused request\t%.0f B\t%.0f B\t%.0f B", per(f.paused.resident-f.empty.resident, s.halts),
		per(f.paused.live-f.empty.live, s.halts), per(f.paused.disk-f.empty.disk, s.halts))
	line("its halt\t%.0f B\t%.0f B\t%.0f B", per(f.kept.resident-f.paused.resident, s.halts),
		per(f.kept.live-f.paused.live, s.halts), per(f.kept.disk-f.paused.disk, s.halts))
	line("")
	line("times in ms\tp50\tp99\tmost")
	for _, of := range []struct {
		name string
		lags *lags
	}{
		{"due, to the marker", f.marked}, {"due, to the fact callback.expired", f.expired},
		{"POST, to the fact callback.resumed", f.resumed}, {"POST, to its answer", f.answered},
		{"GET /halted, all kept, the first page", f.first}, {"the next pages", f.listed},
	} {
		line("%s\t%.1f\t%.1f\t%.1f", of.name, of.lags.at(.5), of.lags.at(.99), of.lags.at(1))
	}
	line("")
	line("%d halts; %d resumed at %g a second; %d expired within %s; flush %s; NATS was started anew over all of it in %s",
		s.halts, s.resumes, s.rate, s.expiring, s.window, s.sync, f.restart.Round(10*time.Millisecond))
	return table.Flush()
}
