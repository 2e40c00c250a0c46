package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
)

// change is a command that changes requests.
type change struct {
	name, short, long string
	scope             string
	// method and path are of the endpoint that takes many; path with %s is one
	// that takes one.
	method, path string
	done         string // in a table, and behind "not"
	reason       bool
}

func changes() []change {
	const administrate = "/api/v1/privacy-request/administrate/"
	return []change{
		{
			name: "approve", short: "Approve requests", scope: "privacy-request:review",
			long:   "Approve requests that are pending, wait for pre-approval, or were found not\neligible.",
			method: http.MethodPatch, path: administrate + "approve", done: "approved",
		},
		{
			name: "deny", short: "Deny requests", scope: "privacy-request:review", reason: true,
			long:   "Deny requests that are pending, wait for pre-approval, or were found not\neligible. Nothing leaves the status denied.",
			method: http.MethodPatch, path: administrate + "deny", done: "denied",
		},
		{
			name: "cancel", short: "Cancel requests", scope: "privacy-request:review", reason: true,
			long:   "Cancel requests that have not ended. Calls that were made are not taken back;\nnothing is called any more. Nothing leaves the status canceled.",
			method: http.MethodPatch, path: administrate + "cancel", done: "canceled",
		},
		{
			name: "retry", short: "Set failed requests going again", scope: "privacy-request:resume",
			long:   "Set requests in the status error going again, at the step and webhook that\nfailed. What succeeded is not called again.",
			method: http.MethodPost, path: "/api/v1/privacy-request/bulk/retry", done: "retried",
		},
		{
			name: "resume", short: "Let paused requests go on without their receiver", scope: "privacy-request:resume",
			long:   "Let paused requests go on although the system that halted them has not resumed\nthem. Its reply token is void from then on.",
			method: http.MethodPost, path: "/api/v1/privacy-request/%s/administrate/resume", done: "resumed",
		},
	}
}

func requestChange(environ map[string]string, c change) *cobra.Command {
	var url, reason string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   c.name + " ID...",
		Short: c.short,
		Long:  c.long + " The API client needs the scope " + c.scope + ".",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := requestIDs(args)
			if err != nil {
				return err
			}
			client, err := ask(cmd.Context(), environ, url)
			if err != nil {
				return err
			}
			results, err := c.apply(cmd.Context(), client, ids, reason)
			if len(results) > 0 {
				if printed := c.print(cmd.OutOrStdout(), results, asJSON); printed != nil {
					return printed
				}
			}
			if err != nil {
				return err
			}
			return incomplete(refusals(results), len(results), "were not "+c.done)
		},
	}
	asksFor(cmd, &url, requestEnds)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	if c.reason {
		cmd.Flags().StringVar(&reason, "reason", "", "why; it is stored sealed and shown with the request's log")
	}
	return cmd
}

// result is what became of one request.
type result struct {
	ID      string `json:"id"`
	Done    bool   `json:"done"`
	Status  string `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
}

func refusals(results []result) int {
	n := 0
	for _, r := range results {
		if !r.Done {
			n++
		}
	}
	return n
}

// atOnce is how many requests are changed by one call.
const atOnce = 100

// apply changes the requests, and gives what became of each. An error ends it;
// the results are then of those before.
func (c change) apply(ctx context.Context, client *rest.Client, ids []string, reason string) ([]result, error) {
	var results []result
	if c.name == "resume" {
		for _, id := range ids {
			one, err := c.one(ctx, client, id)
			if err != nil {
				return results, err
			}
			results = append(results, one)
		}
		return results, nil
	}
	for some := range slices.Chunk(ids, atOnce) {
		more, err := c.many(ctx, client, some, reason)
		if err != nil {
			return results, err
		}
		results = append(results, more...)
	}
	return results, nil
}

// one changes a request by its own endpoint. A refusal is a result; what would
// keep any other request from being changed too is an error.
func (c change) one(ctx context.Context, client *rest.Client, id string) (result, error) {
	var answer found
	err := client.Do(ctx, c.method, fmt.Sprintf(c.path, id), nil, &answer)
	var refused *rest.StatusError
	if errors.As(err, &refused) {
		switch refused.Status {
		case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
			return result{ID: id, Message: refused.Said()}, nil
		}
	}
	if err != nil {
		return result{}, err
	}
	return result{ID: id, Done: true, Status: answer.Status}, nil
}

func (c change) many(ctx context.Context, client *rest.Client, ids []string, reason string) ([]result, error) {
	body := map[string]any{"request_ids": ids}
	if reason != "" {
		body["reason"] = reason
	}
	var answer struct {
		Succeeded []found `json:"succeeded"`
		Failed    []struct {
			Message string `json:"message"`
			Data    struct {
				ID        string `json:"id"`
				RequestID string `json:"privacy_request_id"`
				Status    string `json:"status"`
			} `json:"data"`
		} `json:"failed"`
	}
	if err := client.Do(ctx, c.method, c.path, body, &answer); err != nil {
		return nil, err
	}
	byID := map[string]result{}
	for _, one := range answer.Succeeded {
		byID[one.ID] = result{Done: true, Status: one.Status}
	}
	for _, one := range answer.Failed {
		byID[one.Data.ID+one.Data.RequestID] = result{Status: one.Data.Status, Message: one.Message}
	}
	results := make([]result, 0, len(ids))
	for _, id := range ids {
		one, ok := byID[id]
		if !ok {
			one.Message = "the answer does not name it"
		}
		one.ID = id
		results = append(results, one)
	}
	return results, nil
}

func (c change) print(out io.Writer, results []result, asJSON bool) error {
	if asJSON {
		return printJSON(out, results)
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "REQUEST\tSTATUS\tRESULT")
	for _, r := range results {
		said := c.done
		if !r.Done {
			said = "refused: " + plain(r.Message)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", r.ID, orDash(r.Status), said)
	}
	return table.Flush()
}
