package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
)

func requestWatch(environ map[string]string) *cobra.Command {
	w := watch{every: time.Second}
	var url string
	cmd := &cobra.Command{
		Use:   "watch [ID...]",
		Short: "Follow requests until they have ended",
		Long: `Print a line for every change of status of the requests, beginning with the
present one, until all of them have ended. Exit code 0 says that all are
complete, 1 that one was denied or canceled, is in error, or was deleted.

Without ids it follows all requests that have not ended, and those that come,
until it is interrupted. The API client needs the scope privacy-request:read.`,
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
			if len(ids) == 0 {
				return w.all(cmd.Context())
			}
			return w.these(cmd.Context(), ids)
		},
	}
	asksFor(cmd, &url, requestEnds)
	cmd.Flags().BoolVar(&w.asJSON, "json", false, "print a JSON line a change")
	return cmd
}

// watch looks again and again.
type watch struct {
	client *rest.Client
	out    io.Writer
	asJSON bool
	every  time.Duration
	last   map[string]string // status by id
}

// seen is a line of the watch.
type seen struct {
	At     time.Time `json:"at"`
	ID     string    `json:"id"`
	Before string    `json:"before,omitempty"`
	Status string    `json:"status"`
	Policy string    `json:"policy"`
}

const deletedStatus = "deleted"

// unfinished are the statuses of requests that something will still happen to.
func unfinished() []string {
	return []string{"pending", "awaiting_pre_approval", "pre_approval_not_eligible", "approved", "in_processing", "paused"}
}

// these follows requests until all of them have ended.
func (w *watch) these(ctx context.Context, ids []string) error {
	failed, all := 0, len(ids)
	err := w.again(ctx, func() (bool, error) {
		var left []string
		for _, id := range ids {
			status, err := w.look(ctx, id)
			switch {
			case err != nil:
				return false, err
			case slices.Contains(unfinished(), status):
				left = append(left, id)
			case status != "complete":
				failed++
			}
		}
		ids = left
		return len(ids) == 0, nil
	})
	if err != nil {
		return err
	}
	return incomplete(failed, all, "did not complete")
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
// it is done.
func (w *watch) again(ctx context.Context, look func() (done bool, err error)) error {
	w.last = map[string]string{}
	for {
		began := time.Now()
		done, err := look()
		if done || err != nil {
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
		one = found{ID: id, Status: "unknown"}
	}
	if one.DeletedAt != nil {
		one.Status = deletedStatus
	}
	return one.Status, w.note(one)
}

// note prints a line where the status is another than before.
func (w *watch) note(f found) error {
	before := w.last[f.ID]
	if before == f.Status {
		return nil
	}
	w.last[f.ID] = f.Status
	now := seen{At: time.Now().UTC().Truncate(time.Millisecond), ID: f.ID, Before: before, Status: f.Status, Policy: f.Policy.Key}
	if w.asJSON {
		return json.NewEncoder(w.out).Encode(now)
	}
	became := now.Status
	if before != "" {
		became = before + " → " + became
	}
	_, err := fmt.Fprintf(w.out, "%s  %s  %s  %s\n", now.At.Format(time.TimeOnly), now.ID, plain(now.Policy), became)
	return err
}
