package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
)

func requestShow(environ map[string]string) *cobra.Command {
	var url string
	var asJSON, identities bool
	cmd := &cobra.Command{
		Use:   "show ID...",
		Short: "Show requests with their log and the calls of their webhooks",
		Long: `Show requests: where they stand, what was decided about them and what was
executed, and the calls of their webhooks with what was tried. The API client
needs the scope privacy-request:read.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := requestIDs(args)
			if err != nil {
				return err
			}
			client, err := ask(cmd.Context(), environ, url)
			if err != nil {
				return err
			}
			files, err := readFiles(cmd.Context(), client, ids, identities)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), files)
			} else {
				err = printFiles(cmd.OutOrStdout(), files, time.Now())
			}
			if err != nil {
				return err
			}
			missing := 0
			for _, f := range files {
				if f.Request == nil {
					missing++
				}
			}
			return incomplete(missing, len(ids), "do not exist")
		},
	}
	asksFor(cmd, &url, requestEnds)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&identities, "identities", false, "show what was provided about the person")
	return cmd
}

// file is all there is about a request; Request is nil where there is none.
type file struct {
	ID      string     `json:"id"`
	Request *found     `json:"request"`
	Log     []logEntry `json:"log"`
	Calls   []delivery `json:"calls"`
}

type logEntry struct {
	At      time.Time `json:"updated_at"`
	Group   string    `json:"dataset_name"`
	Status  string    `json:"status"`
	Message string    `json:"message"`
}

type delivery struct {
	CallID    string     `json:"call_id"`
	Webhook   string     `json:"webhook_key"`
	Phase     string     `json:"phase"`
	Direction string     `json:"direction"`
	Status    string     `json:"status"`
	NextAt    *time.Time `json:"next_attempt_at"`
	Attempts  []struct {
		Attempt    int       `json:"attempt"`
		At         time.Time `json:"at"`
		Outcome    string    `json:"outcome"`
		HTTPStatus *int      `json:"http_status"`
		DurationMS *int64    `json:"duration_ms"`
		Error      *string   `json:"error"`
	} `json:"attempts"`
}

func readFiles(ctx context.Context, client *rest.Client, ids []string, identities bool) ([]file, error) {
	files := make([]file, 0, len(ids))
	for _, id := range ids {
		f := file{ID: id, Log: []logEntry{}, Calls: []delivery{}}
		one, ok, err := lookUp(ctx, client, id, identities)
		if err != nil {
			return nil, err
		}
		if ok {
			f.Request = &one
			if f.Log, err = readLog(ctx, client, id); err != nil {
				return nil, err
			}
			if err := client.Do(ctx, http.MethodGet, "/api/v1/privacy-request/"+id+"/delivery", nil, &f.Calls); err != nil {
				return nil, err
			}
		}
		files = append(files, f)
	}
	return files, nil
}

// readLog reads what was decided about a request and what was executed, oldest
// first.
func readLog(ctx context.Context, client *rest.Client, id string) ([]logEntry, error) {
	all, err := readExecutionLog(ctx, client, id)
	if err != nil {
		return nil, err
	}
	trail, err := readTrail(ctx, client, id)
	if err != nil {
		return nil, err
	}
	for _, e := range trail {
		if !slices.ContainsFunc(all, e.is) {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b logEntry) int { return a.At.Compare(b.At) })
	return all, nil
}

// is says whether both logs have the entry.
func (e logEntry) is(other logEntry) bool {
	return e.At.Equal(other.At) && e.Group == other.Group && e.Status == other.Status
}

// readTrail reads what a verbose list has: both logs, of which it leaves out what
// is very long.
func readTrail(ctx context.Context, client *rest.Client, id string) ([]logEntry, error) {
	var page struct {
		Items []struct {
			ID      string                `json:"id"`
			Results map[string][]logEntry `json:"results"`
		} `json:"items"`
	}
	criteria := map[string]any{"request_id": id, "include_deleted_requests": true, "verbose": true}
	if err := client.Do(ctx, http.MethodPost, fmt.Sprintf("/api/v1/privacy-request/search?size=%d", pageSize), criteria, &page); err != nil {
		return nil, err
	}
	var all []logEntry
	for _, one := range page.Items {
		if one.ID != id { // the API looks for a part of the id
			continue
		}
		for _, group := range slices.Sorted(maps.Keys(one.Results)) {
			for _, e := range one.Results[group] {
				e.Group = group
				all = append(all, e)
			}
		}
	}
	return all, nil
}

// readExecutionLog reads all pages of it.
func readExecutionLog(ctx context.Context, client *rest.Client, id string) ([]logEntry, error) {
	all := []logEntry{}
	for number := 1; ; number++ {
		var page struct {
			Items []logEntry `json:"items"`
			Pages int        `json:"pages"`
		}
		path := fmt.Sprintf("/api/v1/privacy-request/%s/log?page=%d&size=%d", id, number, pageSize)
		if err := client.Do(ctx, http.MethodGet, path, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if number >= page.Pages {
			return all, nil
		}
	}
}

func printFiles(out io.Writer, files []file, now time.Time) error {
	for i, f := range files {
		if i > 0 {
			_, _ = fmt.Fprintln(out)
		}
		if f.Request == nil {
			_, _ = fmt.Fprintf(out, "%s does not exist.\n", f.ID)
			continue
		}
		for _, part := range []func(io.Writer) error{
			f.printFacts, f.printLog, func(out io.Writer) error { return f.printCalls(out, now) },
		} {
			if err := part(out); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f file) printFacts(out io.Writer) error {
	r := f.Request
	_, _ = fmt.Fprintln(out, r.ID)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" && value != "-" {
			_, _ = fmt.Fprintf(table, "  %s\t%s\n", name, value)
		}
	}
	line("status", r.Status+r.needed())
	line("policy", plain(r.Policy.Key))
	line("action", plain(r.action()))
	line("created", stamp(&r.CreatedAt))
	line("reviewed", stamp(r.ReviewedAt))
	line("started", stamp(r.StartedAt))
	line("paused", stamp(r.PausedAt))
	line("finished", stamp(r.FinishedAt))
	line("deleted", stamp(r.DeletedAt))
	line("due", r.due())
	line("source", plain(r.Source))
	line("location", plain(r.Location))
	line("external id", plain(r.ExternalID))
	if r.Identity != nil {
		line("identity", r.identities())
	}
	return table.Flush()
}

// needed is what a person can do about a request that does not go on by itself.
func (f found) needed() string {
	switch {
	case f.Status == "error" && f.Needed != nil:
		return fmt.Sprintf(" (at the step %s; parley request retry goes on there)", plain(f.Needed.Step))
	case f.Status == "paused":
		return " (its receiver, or parley request resume, lets it go on)"
	case f.Status == "pending", f.Status == "pre_approval_not_eligible":
		return " (parley request approve, or deny)"
	}
	return ""
}

func (f file) printLog(out io.Writer) error {
	if len(f.Log) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "  LOG\tOF\tSTATUS\tMESSAGE")
	for _, e := range f.Log {
		_, _ = fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", stamp(&e.At), plain(e.Group), e.Status, orDash(e.Message))
	}
	return table.Flush()
}

func (f file) printCalls(out io.Writer, now time.Time) error {
	if len(f.Calls) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "  CALL OF\tPHASE\tDIRECTION\tSTATUS\tATTEMPTS\tLAST\tNEXT")
	for _, c := range f.Calls {
		next := "-"
		if c.NextAt != nil {
			next = "in " + max(c.NextAt.Sub(now), 0).Round(time.Second).String()
		}
		_, _ = fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%d\t%s\t%s\n",
			plain(c.Webhook), c.Phase, c.Direction, c.Status, len(c.Attempts), c.last(), next)
	}
	return table.Flush()
}

// last tells of the last attempt.
func (c delivery) last() string {
	if len(c.Attempts) == 0 {
		return "-"
	}
	a := c.Attempts[len(c.Attempts)-1]
	words := a.Outcome
	if a.HTTPStatus != nil {
		words += fmt.Sprintf(" %d", *a.HTTPStatus)
	}
	if a.DurationMS != nil {
		words += fmt.Sprintf(" after %d ms", *a.DurationMS)
	}
	return cmp.Or(plain(words), "-")
}

// stamp writes a time in a table, "" for none.
func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
