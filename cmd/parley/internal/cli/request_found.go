package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
)

// found is a privacy request as the API shows it: what the tables need of it,
// and the whole.
type found struct {
	ID         string     `json:"id"`
	Status     string     `json:"status"`
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_processing_at"`
	FinishedAt *time.Time `json:"finished_processing_at"`
	ReviewedAt *time.Time `json:"reviewed_at"`
	PausedAt   *time.Time `json:"paused_at"`
	DeletedAt  *time.Time `json:"deleted_at"`
	DaysLeft   *int       `json:"days_left"`
	Source     string     `json:"source"`
	Location   string     `json:"location"`
	ExternalID string     `json:"external_id"`
	Policy     struct {
		Key   string `json:"key"`
		Rules []struct {
			ActionType string `json:"action_type"`
		} `json:"rules"`
	} `json:"policy"`
	Needed *struct {
		Step string `json:"step"`
	} `json:"action_required_details"`
	Identity map[string]labeled `json:"identity"`

	whole map[string]json.RawMessage
}

type labeled struct {
	Value any `json:"value"`
}

// personal are the keys of what may be personal; external_id is whatever the
// caller chose.
func personal() []string { return []string{"identity", "custom_privacy_request_fields", "external_id"} }

// UnmarshalJSON keeps the whole beside what is understood.
func (f *found) UnmarshalJSON(data []byte) error {
	type understood found
	if err := json.Unmarshal(data, (*understood)(f)); err != nil {
		return err
	}
	return json.Unmarshal(data, &f.whole)
}

// MarshalJSON writes the whole.
func (f found) MarshalJSON() ([]byte, error) { return json.Marshal(f.whole) }

// withoutPersonal leaves out what may be personal.
func (f found) withoutPersonal() found {
	f.Identity, f.ExternalID = nil, ""
	f.whole = maps.Clone(f.whole)
	for _, key := range personal() {
		delete(f.whole, key)
	}
	return f
}

func (f found) action() string {
	if len(f.Policy.Rules) == 0 {
		return ""
	}
	return f.Policy.Rules[0].ActionType
}

// due says when the request is due.
func (f found) due() string {
	switch {
	case f.DaysLeft == nil:
		return "-"
	case *f.DaysLeft < 0:
		return fmt.Sprintf("%d days ago", -*f.DaysLeft)
	}
	return fmt.Sprintf("in %d days", *f.DaysLeft)
}

func (f found) identities() string {
	var words []string
	for _, field := range slices.Sorted(maps.Keys(f.Identity)) {
		if value := f.Identity[field].Value; value != nil {
			words = append(words, field+"="+plain(fmt.Sprint(value)))
		}
	}
	return cmp.Or(strings.Join(words, " "), "-")
}

// search reads page after page of what the criteria select, up to limit. What
// changes meanwhile moves the rest, so a request may come twice: it is kept
// once.
func search(ctx context.Context, client *rest.Client, criteria map[string]any, limit int) (all []found, total int, err error) {
	seen := map[string]bool{}
	for number := 1; ; number++ {
		var page struct {
			Items []found `json:"items"`
			Total int     `json:"total"`
			Pages int     `json:"pages"`
		}
		path := fmt.Sprintf("/api/v1/privacy-request/search?page=%d&size=%d", number, pageSize)
		if err := client.Do(ctx, http.MethodPost, path, criteria, &page); err != nil {
			return nil, 0, err
		}
		total = page.Total
		for _, one := range page.Items {
			if len(all) == limit {
				return all, total, nil
			}
			if !seen[one.ID] {
				seen[one.ID] = true
				all = append(all, one)
			}
		}
		if number >= page.Pages {
			return all, total, nil
		}
	}
}

// lookUp finds one request by its id, also one that is deleted.
func lookUp(ctx context.Context, client *rest.Client, id string, identities bool) (found, bool, error) {
	criteria := map[string]any{"request_id": id, "include_deleted_requests": true}
	if identities {
		criteria["include_identities"], criteria["include_custom_privacy_request_fields"] = true, true
	}
	some, _, err := search(ctx, client, criteria, pageSize)
	if err != nil {
		return found{}, false, err
	}
	for _, one := range some { // the API looks for a part of the id
		if one.ID == id {
			if !identities {
				one = one.withoutPersonal()
			}
			return one, true, nil
		}
	}
	return found{}, false, nil
}
