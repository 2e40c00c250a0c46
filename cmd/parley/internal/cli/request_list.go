package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
)

const requestListExample = `  # What waits for a person, the oldest first.
  parley request list --status pending,pre_approval_not_eligible --asc

  # Everything of one person; the address is read from standard input.
  parley request list --identity email=- --identities

  # Retry what failed within the last hour.
  parley request list --status error --failed-after 1h --quiet | xargs parley request retry`

// listing are the flags of parley request list.
type listing struct {
	url                                 string
	asJSON, quiet, identities           bool
	limit                               int
	statuses, actions, identity         []string
	externalID, location                string
	createdAfter, createdBefore         string
	completedAfter, failedAfter, sortBy string
	overdue, deleted, ascending         bool
}

func requestList(environ map[string]string) *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List privacy requests",
		Long: `List privacy requests, the newest first. Filters are combined: a request is
shown if all of them fit. The API client needs the scope privacy-request:read.

Times are written 2026-05-01, 2026-05-01T08:00:00Z, or 24h for a day ago.`,
		Example: requestListExample,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return l.run(cmd, environ) },
	}
	asksFor(cmd, &l.url, requestEnds)
	f := cmd.Flags()
	f.BoolVar(&l.asJSON, "json", false, "print JSON")
	f.BoolVarP(&l.quiet, "quiet", "q", false, "print ids only")
	f.BoolVar(&l.identities, "identities", false, "show what was provided about the person")
	f.IntVar(&l.limit, "limit", 100, "show so many at most")
	f.StringSliceVar(&l.statuses, "status", nil, "of any of these `statuses`")
	f.StringSliceVar(&l.actions, "action", nil, "with any of these `actions`: access, erasure, consent")
	f.StringArrayVar(&l.identity, "identity", nil, "of the person with this `FIELD=VALUE`; with the value -, it is read\nfrom standard input, since every process sees command lines")
	f.StringVar(&l.externalID, "external-id", "", "whose external id begins so")
	f.StringVar(&l.location, "location", "", "in this `place`, such as FR or US-CA")
	f.StringVar(&l.createdAfter, "created-after", "", "created after this `time`")
	f.StringVar(&l.createdBefore, "created-before", "", "created before this `time`")
	f.StringVar(&l.completedAfter, "completed-after", "", "completed after this `time`")
	f.StringVar(&l.failedAfter, "failed-after", "", "failed after this `time`")
	f.BoolVar(&l.overdue, "overdue", false, "whose due date has passed")
	f.BoolVar(&l.deleted, "deleted", false, "show also what was deleted")
	f.StringVar(&l.sortBy, "sort", "created_at", "sort by this `field` of a request")
	f.BoolVar(&l.ascending, "asc", false, "sort upwards")
	return cmd
}

func (l *listing) run(cmd *cobra.Command, environ map[string]string) error {
	for flag, values := range map[string][]string{"status": l.statuses, "action": l.actions} {
		// An empty variable of a shell would list everything.
		if cmd.Flags().Changed(flag) && (len(values) == 0 || slices.Contains(values, "")) {
			return wrongUse("--%s needs a value", flag)
		}
	}
	criteria, err := l.criteria(cmd.InOrStdin(), time.Now())
	if err != nil {
		return err
	}
	client, err := ask(cmd.Context(), environ, l.url)
	if err != nil {
		return err
	}
	all, total, err := search(cmd.Context(), client, criteria, l.limit)
	var refused *rest.StatusError
	if errors.As(err, &refused) && refused.Status == http.StatusUnprocessableEntity {
		return wrongUse("%s", refused.Said())
	}
	if err != nil {
		return err
	}
	if !l.identities {
		for i := range all {
			all[i] = all[i].withoutPersonal()
		}
	}
	return l.print(cmd.OutOrStdout(), all, total)
}

// criteria are the flags as the body of a search.
func (l *listing) criteria(in io.Reader, now time.Time) (map[string]any, error) {
	if l.limit < 1 {
		return nil, wrongUse("--limit takes a whole number, at least 1")
	}
	c := map[string]any{"sort_field": l.sortBy, "sort_direction": "desc"}
	if l.ascending {
		c["sort_direction"] = "asc"
	}
	for field, text := range map[string]string{"external_id": l.externalID, "location": l.location} {
		if text != "" {
			c[field] = text
		}
	}
	for field, list := range map[string][]string{"status": l.statuses, "action_type": l.actions} {
		if len(list) > 0 {
			c[field] = list
		}
	}
	for field, is := range map[string]bool{
		"is_overdue": l.overdue, "include_deleted_requests": l.deleted,
		"include_identities": l.identities, "include_custom_privacy_request_fields": l.identities,
	} {
		if is {
			c[field] = true
		}
	}
	if err := l.addTimes(c, now); err != nil {
		return nil, err
	}
	return c, l.addIdentity(c, in)
}

func (l *listing) addTimes(c map[string]any, now time.Time) error {
	for _, t := range []struct{ flag, value, field string }{
		{"--created-after", l.createdAfter, "created_gt"}, {"--created-before", l.createdBefore, "created_lt"},
		{"--completed-after", l.completedAfter, "completed_gt"}, {"--failed-after", l.failedAfter, "errored_gt"},
	} {
		if t.value == "" {
			continue
		}
		at, err := moment(t.value, now)
		if err != nil {
			return wrongUse("%s takes 2026-05-01, 2026-05-01T08:00:00Z, or 24h for a day ago", t.flag)
		}
		c[t.field] = at.UTC().Format(time.RFC3339Nano)
	}
	return nil
}

// moment reads a time, a day, or how long ago.
func moment(s string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(s); err == nil {
		return now.Add(-ago), nil
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at, nil
	}
	return time.Parse(time.DateOnly, s)
}

func (l *listing) addIdentity(c map[string]any, in io.Reader) error {
	identities := map[string]any{}
	for _, one := range l.identity {
		field, value, ok := strings.Cut(one, "=")
		if !ok || field == "" || value == "" {
			return wrongUse("--identity takes FIELD=VALUE, such as email=-")
		}
		if value == "-" {
			text, err := io.ReadAll(io.LimitReader(in, 1<<16))
			if err != nil {
				return fmt.Errorf("read standard input: %w", err)
			}
			value = strings.TrimSpace(string(text))
		}
		identities[field] = value
	}
	if len(identities) > 0 {
		c["identities"] = identities
	}
	return nil
}

func (l *listing) print(out io.Writer, all []found, total int) error {
	switch {
	case l.asJSON:
		if all == nil {
			all = []found{}
		}
		return printJSON(out, map[string]any{"total": total, "requests": all})
	case l.quiet:
		for _, one := range all {
			_, _ = fmt.Fprintln(out, one.ID)
		}
		return nil
	case len(all) == 0:
		_, err := fmt.Fprintln(out, "No privacy request fits.")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, strings.Join(l.heading(), "\t"))
	for _, one := range all {
		_, _ = fmt.Fprintln(table, strings.Join(l.row(one), "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if more := total - len(all); more > 0 {
		_, err := fmt.Fprintf(out, "… and %d more; --limit shows them.\n", more)
		return err
	}
	return nil
}

func (l *listing) heading() []string {
	heading := []string{"REQUEST", "STATUS", "ACTION", "POLICY", "CREATED", "DUE"}
	if l.identities {
		heading = append(heading, "EXTERNAL ID", "IDENTITY")
	}
	return heading
}

func (l *listing) row(f found) []string {
	status := f.Status
	if f.DeletedAt != nil {
		status += " (deleted)"
	}
	row := []string{f.ID, status, orDash(f.action()), plain(f.Policy.Key), f.CreatedAt.Format(time.RFC3339), f.due()}
	if l.identities {
		row = append(row, orDash(f.ExternalID), f.identities())
	}
	return row
}
