package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/services/orchestrator/internal/api"
	"github.com/parley-dsr/parley/services/orchestrator/internal/follow"
)

const (
	// streamsAtMost bounds the streams of one process.
	streamsAtMost = 500
	// streamFor is how long a stream may last: who goes on reads the next one,
	// with a token that is good then.
	streamFor = 15 * time.Minute
	// heartbeat is the longest silence, shorter than proxies allow.
	heartbeat = 15 * time.Second
	// writeWithin is how long a reader may take nothing.
	writeWithin = 10 * time.Second
	// comeBack is when a reader whose stream was ended may come again.
	comeBack = time.Second
)

// FollowRequest tells the facts about a request as Server-Sent Events. The id of
// each is its place in the stream of facts.
func (s *Server) FollowRequest(ctx context.Context, r api.FollowRequestRequestObject) (api.FollowRequestResponseObject, error) {
	select {
	case s.streams() <- struct{}{}:
	default:
		return nil, edge.Unavailable(retryAfter, "Too many requests are followed now.")
	}
	leave := func() { <-s.streams() }
	after := uint64(0)
	if id := r.Params.LastEventID; id != nil && *id > 0 {
		after = uint64(*id)
	}
	ctx, cancel := context.WithTimeout(ctx, streamFor)
	follower, err := s.Facts.Open(ctx, r.PrivacyRequestID, after)
	if err != nil {
		cancel()
		leave()
		if errors.Is(err, follow.ErrNotFound) {
			return nil, notFound(r.PrivacyRequestID)
		}
		s.Logger.Warn("a request cannot be followed", "error", err)
		return nil, edge.Unavailable(retryAfter, "The request cannot be followed now.")
	}
	stopped := context.AfterFunc(s.stopping(), cancel)
	return &factStream{ctx: ctx, follower: follower, every: s.heartbeat(), end: func() {
		stopped()
		follower.Close()
		cancel()
		leave()
	}}, nil
}

// stopping is done when the service begins to stop.
func (s *Server) stopping() context.Context {
	if s.Stopping == nil {
		return context.Background()
	}
	return s.Stopping
}

func (s *Server) heartbeat() time.Duration {
	if s.Heartbeat == 0 {
		return heartbeat
	}
	return s.Heartbeat
}

// streams are the places for streams.
func (s *Server) streams() chan struct{} {
	s.openStreams.Do(func() { s.places = make(chan struct{}, streamsAtMost) })
	return s.places
}

// factStream is the answer of FollowRequest.
type factStream struct {
	ctx      context.Context //nolint:containedctx // the life of one answer
	follower *follow.Follower
	every    time.Duration
	end      func()
}

// VisitFollowRequestResponse writes until the request has ended, the reader has
// gone, or the service stops. A request that has ended, and of which everything
// is told, is 204: readers of this format then do not come again.
func (f *factStream) VisitFollowRequestResponse(w http.ResponseWriter) error {
	defer f.end()
	first, err := f.follower.Next(f.ctx, time.Millisecond)
	switch {
	case errors.Is(err, follow.ErrEnded):
		w.WriteHeader(http.StatusNoContent)
		return nil
	case err != nil:
		return edge.Unavailable(retryAfter, "The request cannot be followed now.")
	}
	out := sse{w: w, control: http.NewResponseController(w)}
	if err := out.begin(); err != nil {
		return nil //nolint:nilerr // the reader has gone
	}
	fact := first
	for f.ctx.Err() == nil {
		if fact != nil {
			err = out.fact(*fact)
		} else {
			err = out.comment("heartbeat")
		}
		if err != nil {
			return nil //nolint:nilerr // the reader has gone, and comes again
		}
		if fact, err = f.follower.Next(f.ctx, f.every); errors.Is(err, follow.ErrEnded) || errors.Is(err, follow.ErrNotFound) {
			return nil
		}
		if err != nil { // NATS is away: the reader is kept until it is back
			f.pause()
		}
	}
	return nil
}

func (f *factStream) pause() {
	timer := time.NewTimer(f.every)
	defer timer.Stop()
	select {
	case <-f.ctx.Done():
	case <-timer.C:
	}
}

// sse writes Server-Sent Events.
type sse struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// begin writes the headers. The deadlines of the listener are for small answers;
// here each piece gets its own. Nobody on the way may hold pieces back.
func (s sse) begin() error {
	if err := s.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	h.Set("No-Gzip-Compression", "1") // read, and removed, by our own compression
	s.w.WriteHeader(http.StatusOK)
	return s.write(fmt.Sprintf("retry: %d\n\n", comeBack.Milliseconds()))
}

func (s sse) comment(text string) error { return s.write(": " + text + "\n\n") }

func (s sse) fact(f follow.Fact) error {
	data, err := json.Marshal(f.Event)
	if err != nil {
		return nil //nolint:nilerr // it was decoded from the stream, so this does not happen
	}
	var line bytes.Buffer
	if err := json.Compact(&line, data); err != nil { // one line, whatever was published
		return nil //nolint:nilerr // as above
	}
	var b strings.Builder
	b.WriteString("id: " + strconv.FormatUint(f.Place, 10) + "\n")
	b.WriteString("event: " + f.Event.Type() + "\n")
	b.WriteString("data: " + line.String() + "\n\n")
	return s.write(b.String())
}

func (s sse) write(text string) error {
	err := s.control.SetWriteDeadline(time.Now().Add(writeWithin))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
