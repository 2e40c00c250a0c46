package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
)

func halts(environ map[string]string) *cobra.Command {
	var url string
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "halts",
		Short: "Show the requests that are halted, and until when",
		Long: `Show which privacy requests are halted, on which webhook, since when, and when
the halt ends in an error if nobody resumes. What ends first comes first. The
API client needs the scope privacy-request:read.`,
		Example: "  PARLEY_CLIENT_ID=… PARLEY_CLIENT_SECRET=… parley halts --url https://parley.example.com",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return wrongUse("--limit takes a whole number, at least 1")
			}
			client, err := ask(cmd.Context(), environ, url)
			if err != nil {
				return err
			}
			found, err := listHalts(cmd.Context(), client, limit)
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(found)
			}
			return found.print(cmd.OutOrStdout(), time.Now())
		},
	}
	asks(cmd, &url)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().IntVar(&limit, "limit", 100, "show so many at most")
	return cmd
}

// halted is what is halted; Total counts also what is not shown.
type halted struct {
	Total int    `json:"total"`
	Halts []halt `json:"halts"`
}

type halt struct {
	RequestID   string    `json:"privacy_request_id"`
	CallID      string    `json:"call_id"`
	WebhookID   string    `json:"webhook_id"`
	WebhookKey  string    `json:"webhook_key"`
	WebhookName string    `json:"webhook_name"`
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until"`
}

// pageSize is what the API gives at most at a time.
const pageSize = 100

// listHalts reads page after page. What is resumed meanwhile moves the rest, so
// a halt may come twice: it is shown once.
func listHalts(ctx context.Context, client *rest.Client, limit int) (halted, error) {
	found, seen := halted{Halts: []halt{}}, map[string]bool{}
	for number := 1; ; number++ {
		var page struct {
			Items []halt `json:"items"`
			Total int    `json:"total"`
			Pages int    `json:"pages"`
		}
		path := fmt.Sprintf("/api/v1/halted?page=%d&size=%d", number, pageSize)
		if err := client.Do(ctx, http.MethodGet, path, nil, &page); err != nil {
			return halted{}, err
		}
		found.Total = page.Total
		for _, one := range page.Items {
			if len(found.Halts) == limit {
				return found, nil
			}
			if !seen[one.CallID] {
				seen[one.CallID] = true
				found.Halts = append(found.Halts, one)
			}
		}
		if number >= page.Pages {
			return found, nil
		}
	}
}

func (h halted) print(out io.Writer, now time.Time) error {
	if len(h.Halts) == 0 {
		_, err := fmt.Fprintln(out, "Nothing is halted.")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "REQUEST\tWEBHOOK\tSINCE\tUNTIL\tLEFT")
	for _, one := range h.Halts {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", one.RequestID, one.webhook(),
			one.Since.Format(time.RFC3339), one.Until.Format(time.RFC3339), max(one.Until.Sub(now), 0).Round(time.Second))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if more := h.Total - len(h.Halts); more > 0 {
		_, err := fmt.Fprintf(out, "… and %d more; --limit shows them.\n", more)
		return err
	}
	return nil
}

// webhook is what people call it; one that is deleted has its id only.
func (h halt) webhook() string {
	if h.WebhookKey == "" {
		return h.WebhookID
	}
	return h.WebhookKey
}
