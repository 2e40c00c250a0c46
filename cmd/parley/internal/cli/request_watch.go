package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
	"github.com/parley-dsr/parley/pkg/events"
)

func requestWatch(environ map[string]string) *cobra.Command {
	w := watch{every: time.Second, last: map[string]string{}}
	var url string
	cmd := &cobra.Command{
		Use:   "watch [ID...]",
		Short: "Follow requests until they have ended",
		Long: `Print what happened to the requests and what happens, fact by fact, until all of
them have ended. Exit code 0 says that all are complete, 1 that one was denied,
canceled or deleted, or is in error.

Without ids it prints the status of all requests that have not ended, and each
change of it, until it is interrupted. The API client needs the scope
privacy-request:read.`,
		Example: "  parley request watch pri_029832ba-3b84-40f7-8946-82aec6f95448",
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := requestIDs(args)
			if err != nil {
				return err
			}
			if w.client, err = ask(cmd.Context(), environ, url); err != nil {
				return err
			}
			w.out = cmd.OutOrStdout()
			if len(ids) > watchedAtMost {
				return wrongUse("at most %d requests can be followed one by one; without ids all are", watchedAtMost)
			}
			if len(ids) == 0 {
				return w.all(cmd.Context())
			}
			return w.these(cmd.Context(), ids)
		},
	}
	asksFor(cmd, &url, requestEnds)
	cmd.Flags().BoolVar(&w.asJSON, "json", false, "print JSON lines: facts as CloudEvents, or changes of status")
	return cmd
}

// watchedAtMost bounds the streams of one command.
const watchedAtMost = 50

// watch prints what happens.
type watch struct {
	client *rest.Client
	out    io.Writer
	asJSON bool
	every  time.Duration

	mu   sync.Mutex
	last map[string]string // status by id
}

// seen is a line of the watch.
type seen struct {
	At     time.Time `json:"at"`
	ID     string    `json:"id"`
	Before string    `json:"before,omitempty"`
	Status string    `json:"status"`
	Policy string    `json:"policy"`
}

// What the API has no status for.
const (
	deletedStatus = "deleted"
	unknownStatus = "unknown"
)

// unfinished are the statuses of requests that something will still happen to.
func unfinished() []string {
	return []string{"pending", "awaiting_pre_approval", "pre_approval_not_eligible", "approved", "in_processing", "paused"}
}

// these follows requests, fact by fact, until all of them have ended.
func (w *watch) these(ctx context.Context, ids []string) error {
	var failed atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for _, id := range ids {
		group.Go(func() error {
			complete, err := w.one(ctx, id)
			if err == nil && !complete {
				failed.Add(1)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return incomplete(int(failed.Load()), len(ids), "did not complete")
}

// one follows one request, and says whether it is complete in the end.
func (w *watch) one(ctx context.Context, id string) (complete bool, err error) {
	now, ok, err := lookUp(ctx, w.client, id, false)
	switch {
	case err != nil:
		return false, err
	case !ok:
		return false, w.absent(id)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	facts, broken := make(chan rest.Event), make(chan error, 1)
	go func() {
		broken <- w.client.Follow(ctx, "/api/v1/privacy-request/"+id+"/events", func(e rest.Event) error {
			select {
			case facts <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	look := time.NewTicker(w.every)
	defer look.Stop()
	for last := (fact{}); ; {
		select {
		case e := <-facts:
			if last, err = w.tell(e); err != nil || last.final() {
				return last.event.Type() == events.RequestCompleted, err
			}
		case err := <-broken: // all is told, or its facts are not kept any more
			if err == nil && last.event.Type() == "" {
				err = w.note(now)
			}
			return now.Status == "complete", err
		case <-look.C:
			if last.event.Type() != "" && last.event.Type() != events.RequestFailed {
				continue
			}
			stands, ok, err := lookUp(ctx, w.client, id, false)
			if err != nil || !ok {
				continue // the stream says what is wrong, if it does not pass
			}
			now = stands
			if now.Status == "error" && last.isOf(now) {
				return false, nil
			}
		}
	}
}

// fact is what was told last.
type fact struct {
	event events.Event
	data  struct {
		Message string `json:"message"`
		Request struct {
			FinishedAt *time.Time `json:"finished_processing_at"`
		} `json:"request"`
	}
}

// final says whether nothing follows.
func (f fact) final() bool {
	switch f.event.Type() {
	case events.RequestCompleted, events.RequestDenied, events.RequestCanceled, events.RequestDeleted:
		return true
	}
	return false
}

// isOf says whether this is the failure in which the request stands now: it may
// have failed before. The facts of a request that failed long ago may be gone.
func (f fact) isOf(now found) bool {
	switch {
	case f.event.Type() == "":
		return true
	case f.event.Type() != events.RequestFailed:
		return false
	case f.data.Request.FinishedAt == nil, now.FinishedAt == nil:
		return true
	}
	return f.data.Request.FinishedAt.Truncate(time.Microsecond).Equal(*now.FinishedAt)
}

// tell prints a fact.
func (w *watch) tell(e rest.Event) (fact, error) {
	var f fact
	if err := errors.Join(json.Unmarshal(e.Data, &f.event), json.Unmarshal(f.event.Data(), &f.data)); err != nil {
		return f, fmt.Errorf("%w: a fact cannot be read", rest.ErrNotParley)
	}
	if w.asJSON {
		return f, w.print("%s\n", e.Data)
	}
	name := strings.TrimSuffix(strings.TrimPrefix(f.event.Type(), "dev.parley."), ".v1")
	line := fmt.Sprintf("%s  %s  %s%s", f.event.Time().Format("15:04:05.000"), f.event.Subject(), name, detail(f.event))
	if f.data.Message != "" {
		line += "  " + f.data.Message
	}
	return f, w.print("%s\n", plain(line))
}

// print prints one line at a time.
func (w *watch) print(format string, values ...any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := fmt.Fprintf(w.out, format, values...)
	return err
}

// all follows what has not ended, until ctx ends.
func (w *watch) all(ctx context.Context) error {
	criteria := map[string]any{"status": unfinished(), "sort_field": "created_at", "sort_direction": "asc"}
	return w.again(ctx, func() (bool, error) {
		now, _, err := search(ctx, w.client, criteria, math.MaxInt)
		if err != nil {
			return false, err
		}
		gone := maps.Clone(w.last)
		for _, one := range now {
			delete(gone, one.ID)
			if err := w.note(one); err != nil {
				return false, err
			}
		}
		for _, id := range slices.Sorted(maps.Keys(gone)) {
			status, err := w.look(ctx, id)
			if err != nil {
				return false, err
			}
			if !slices.Contains(unfinished(), status) {
				delete(w.last, id)
			}
		}
		return false, nil
	})
}

// again looks with pauses that are a good deal longer than a look takes, until
// it is done. Once it has seen something, it puts up with an installation that
// is away for a minute.
func (w *watch) again(ctx context.Context, look func() (done bool, err error)) error {
	var seen time.Time
	for {
		began := time.Now()
		done, err := look()
		switch {
		case done:
			return err
		case err == nil:
			seen = began
		case !rest.Passes(err) || time.Since(seen) > time.Minute:
			return err
		}
		pause := time.NewTimer(max(w.every, 5*time.Since(began)))
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// look notes how a request stands now, and gives its status.
func (w *watch) look(ctx context.Context, id string) (string, error) {
	one, ok, err := lookUp(ctx, w.client, id, false)
	if err != nil {
		return "", err
	}
	if !ok {
		one = found{ID: id, Status: unknownStatus}
	}
	if one.DeletedAt != nil {
		one.Status = deletedStatus
	}
	return one.Status, w.note(one)
}

// absent says that there is no such request.
func (w *watch) absent(id string) error {
	if w.asJSON {
		return w.note(found{ID: id, Status: unknownStatus})
	}
	return w.print("%s does not exist.\n", id)
}

// note prints a line where the status is another than before.
func (w *watch) note(f found) error {
	if f.DeletedAt != nil {
		f.Status = deletedStatus
	}
	w.mu.Lock()
	before := w.last[f.ID]
	w.last[f.ID] = f.Status
	w.mu.Unlock()
	if before == f.Status {
		return nil
	}
	now := seen{At: time.Now().UTC().Truncate(time.Millisecond), ID: f.ID, Before: before, Status: f.Status, Policy: f.Policy.Key}
	if w.asJSON {
		line, err := json.Marshal(now)
		if err != nil {
			return err
		}
		return w.print("%s\n", line)
	}
	became := now.Status
	if before != "" {
		became = before + " → " + became
	}
	return w.print("%s  %s  %s  %s\n", now.At.Format("15:04:05.000"), now.ID, orDash(now.Policy), became)
}
