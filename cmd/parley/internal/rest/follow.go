package rest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// silentFor is how long a stream may be silent before it is given up: the
	// other side says something every few seconds.
	silentFor = time.Minute
	// maxEvent is the size of one event.
	maxEvent = 4 << 20
)

// errEnded says that there is nothing more to come for.
var errEnded = errors.New("the stream has ended")

// Event is one of a stream of Server-Sent Events.
type Event struct {
	ID, Type string
	Data     []byte
}

// Follow reads the stream of Server-Sent Events at path and gives each to take,
// until there is nothing more to come for, or take or ctx ends it. It comes again
// where the stream breaks off, after what it has seen, for as long as somebody
// answers once a minute.
func (c *Client) Follow(ctx context.Context, path string, take func(Event) error) error {
	const pause = time.Second
	lastID, heard := "", time.Now()
	for {
		err := c.stream(ctx, path, lastID, func() { heard = time.Now() }, func(e Event) error {
			lastID = e.ID
			return take(e)
		})
		switch {
		case errors.Is(err, errEnded):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (!Passes(err) || time.Since(heard) > silentFor):
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// stream reads one stream. Nil is one that breaks off.
func (c *Client) stream(ctx context.Context, path, lastID string, heard func(), take func(Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(silentFor, cancel)
	defer silence.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.origin+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("%s %s: %w", http.MethodGet, path, err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Authorization", "Bearer "+c.token)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	patient := http.Client{CheckRedirect: c.http.CheckRedirect} // a stream lasts
	resp, err := patient.Do(req)
	if err != nil {
		return fmt.Errorf("%w at %s: %w", ErrNoAnswer, c.origin, cause(err))
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent:
		return errEnded
	default:
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxEvent))
		return &StatusError{Method: http.MethodGet, Path: path, Status: resp.StatusCode, Body: string(body)}
	}
	return readEvents(resp.Body, func() { silence.Reset(silentFor); heard() }, take)
}

// readEvents reads the lines of a stream. Its end is none of its errors.
func readEvents(body io.Reader, heard func(), take func(Event) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEvent)
	var e Event
	for lines.Scan() {
		heard()
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			e.ID = value
		case "event":
			e.Type = value
		case "data":
			if len(e.Data) > 0 {
				e.Data = append(e.Data, '\n')
			}
			e.Data = append(e.Data, value...)
		}
		if lines.Text() != "" || len(e.Data) == 0 {
			continue
		}
		if err := take(e); err != nil {
			return err
		}
		e = Event{}
	}
	return nil
}
