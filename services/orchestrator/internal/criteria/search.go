// Package criteria reads what callers ask for when they look for privacy
// requests (contract §6.4) or select them for a bulk action (§6.6), and turns
// it into a filter of the read model. It is pure.
package criteria

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/services/orchestrator/internal/intake"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

// Search is the body of a search; every field is optional.
type Search struct {
	RequestID        *string        `json:"request_id"`
	Status           OneOrMany      `json:"status"`
	Identities       map[string]any `json:"identities"`
	Fuzzy            *string        `json:"fuzzy_search_str"`
	CustomFields     map[string]any `json:"custom_privacy_request_fields"`
	ExternalID       *string        `json:"external_id"`
	Location         *string        `json:"location"`
	ActionType       OneOrMany      `json:"action_type"`
	CreatedBefore    *string        `json:"created_lt"`
	CreatedAfter     *string        `json:"created_gt"`
	StartedBefore    *string        `json:"started_lt"`
	StartedAfter     *string        `json:"started_gt"`
	CompletedBefore  *string        `json:"completed_lt"`
	CompletedAfter   *string        `json:"completed_gt"`
	ErroredBefore    *string        `json:"errored_lt"`
	ErroredAfter     *string        `json:"errored_gt"`
	Overdue          *bool          `json:"is_overdue"`
	Deleted          *bool          `json:"include_deleted_requests"`
	ConsentWebhooks  *bool          `json:"include_consent_webhook_requests"`
	Verbose          *bool          `json:"verbose"`
	WithIdentities   *bool          `json:"include_identities"`
	WithCustomFields *bool          `json:"include_custom_privacy_request_fields"`
	SortField        *string        `json:"sort_field"`
	SortDirection    *string        `json:"sort_direction"`

	// AnyIdentity is an identity of any standard field; only the query of a
	// GET has it.
	AnyIdentity *string `json:"-"`
}

// Hashes makes the keyed hashes of a text.
type Hashes func(string) []string

// Filter gives the filter of the read model. What does not fit the schema comes
// back as problems below loc, what contradicts itself as an error whose text
// clients know (status 400).
func (s Search) Filter(now time.Time, hashes Hashes, loc ...any) (readmodel.Filter, []identity.Problem, error) {
	r := reader{loc: loc}
	f := readmodel.Filter{
		IDPart: orEmpty(s.RequestID), ExternalID: orEmpty(s.ExternalID),
		Statuses: r.oneOf("status", s.Status, statuses()), Actions: r.oneOf("action_type", s.ActionType, actions()),
		Deleted: isTrue(s.Deleted), ConsentWebhooks: isTrue(s.ConsentWebhooks),
		Created:   r.between("created", s.CreatedAfter, s.CreatedBefore),
		Started:   r.between("started", s.StartedAfter, s.StartedBefore),
		Completed: r.between("completed", s.CompletedAfter, s.CompletedBefore),
		Errored:   r.between("errored", s.ErroredAfter, s.ErroredBefore),
	}
	s.identities(&f, hashes)
	s.location(&f)
	switch {
	case s.Overdue == nil:
	case *s.Overdue:
		f.OverdueAt = &now
	default:
		f.NotOverdueAt = &now
	}
	if len(r.problems) > 0 {
		return f, r.problems, nil
	}
	return f, nil, contradiction(f)
}

// Order gives the order of the list.
func (s Search) Order() readmodel.Order {
	return readmodel.Order{Field: orEmpty(s.SortField), Ascending: orEmpty(s.SortDirection) == "asc"}
}

func (s Search) identities(f *readmodel.Filter, hashes Hashes) {
	if len(s.Identities) > 0 {
		f.IdentityHashes = hashesOf(s.Identities, hashes)
	}
	if s.AnyIdentity != nil && *s.AnyIdentity != "" {
		f.IdentityHashes = append(f.IdentityHashes, anyField(*s.AnyIdentity, hashes)...)
	}
	if len(s.CustomFields) > 0 {
		f.FieldHashes = hashesOf(s.CustomFields, hashes)
	}
	if fuzzy := orEmpty(s.Fuzzy); fuzzy != "" {
		f.Fuzzy, f.FuzzyHashes = fuzzy, anyField(fuzzy, hashes)
	}
}

// location: one that is malformed selects nothing.
func (s Search) location(f *readmodel.Filter) {
	if s.Location == nil {
		return
	}
	clean, ok := intake.NormalizeLocation(*s.Location)
	if !ok {
		f.IDs = []string{}
		return
	}
	f.Location = clean
}

func hashesOf(values map[string]any, hashes Hashes) []string {
	out := []string{}
	for field, value := range values {
		text, ok := scalarText(value)
		if !ok {
			continue // lists are not found by value
		}
		out = append(out, hashes(field+":"+normalize(field, text))...)
	}
	return out
}

// anyField gives the hashes of a value in each of the standard fields.
func anyField(value string, hashes Hashes) []string {
	out := []string{}
	for field := range (identity.Identity{}).Labeled() {
		out = append(out, hashes(field+":"+normalize(field, value))...)
	}
	return out
}

// normalize gives the value the form that it has when it is submitted; one that
// could not be submitted is looked for as it is.
func normalize(field, value string) string {
	raw, err := json.Marshal(map[string]string{field: value})
	if err != nil {
		return value
	}
	parsed, problems := identity.Parse(raw)
	if clean, ok := parsed.Values()[field]; ok && len(problems) == 0 {
		return clean
	}
	return value
}

func scalarText(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case float64, bool:
		return fmt.Sprint(v), true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

func contradiction(f readmodel.Filter) error {
	set := func(r readmodel.Range) bool { return r.After != nil || r.Before != nil }
	if set(f.Completed) && set(f.Errored) {
		return ErrBothEnds
	}
	for _, r := range []struct {
		name string
		readmodel.Range
	}{{"completed", f.Completed}, {"created", f.Created}, {"errored", f.Errored}, {"started", f.Started}} {
		if r.After != nil && r.Before != nil && !r.Before.After(*r.After) {
			return fmt.Errorf("%w for %[2]s_lt: %[3]s must be after %[2]s_gt: %[4]s.", //nolint:staticcheck // the text is part of the contract
				errRange, r.name, stamp(*r.Before), stamp(*r.After))
		}
	}
	return nil
}

// stamp writes a time as the texts of the contract do.
func stamp(t time.Time) string {
	if t.Nanosecond() == 0 {
		return t.UTC().Format("2006-01-02 15:04:05+00:00")
	}
	return t.UTC().Format("2006-01-02 15:04:05.000000+00:00")
}

// OneOrMany is a JSON text or a list of texts.
type OneOrMany []string

// UnmarshalJSON takes a text, a list of texts or null.
func (o *OneOrMany) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '[' {
		var many []string
		if err := json.Unmarshal(data, &many); err != nil {
			return fmt.Errorf("criteria: list of texts: %w", err)
		}
		*o = many
		return nil
	}
	var one *string
	if err := json.Unmarshal(data, &one); err != nil {
		return fmt.Errorf("criteria: text: %w", err)
	}
	if one != nil {
		*o = OneOrMany{*one}
	}
	return nil
}

type reader struct {
	loc      []any
	problems []identity.Problem
}

func (r *reader) wrong(kind, msg string, field string) {
	r.problems = append(r.problems, identity.Problem{Type: kind, Loc: append(slices.Clone(r.loc), field), Msg: msg})
}

func (r *reader) between(name string, after, before *string) readmodel.Range {
	return readmodel.Range{After: r.time(name+"_gt", after), Before: r.time(name+"_lt", before)}
}

func (r *reader) time(field string, s *string) *time.Time {
	if s == nil || *s == "" {
		return nil
	}
	t, ok := intake.ParseTime(*s)
	if !ok {
		r.wrong("datetime_from_date_parsing", "Input should be a valid datetime or date", field)
		return nil
	}
	return &t
}

func (r *reader) oneOf(field string, values OneOrMany, allowed []string) []string {
	for _, v := range values {
		if !slices.Contains(allowed, v) {
			r.wrong("enum", "Input should be "+alternatives(allowed), field)
			return nil
		}
	}
	return values
}

func alternatives(values []string) string {
	var b bytes.Buffer
	for i, v := range values {
		switch {
		case i == 0:
		case i == len(values)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString("'" + v + "'")
	}
	return b.String()
}

func statuses() []string {
	return []string{
		"identity_unverified", "requires_input", "pending", "approved", "denied", "in_processing", "complete",
		"paused", "awaiting_email_send", "requires_manual_finalization", "pending_external", "canceled", "error",
		"duplicate", "awaiting_pre_approval", "pre_approval_not_eligible",
	}
}

func actions() []string { return []string{"access", "consent", "erasure", "update"} }

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func isTrue(b *bool) bool { return b != nil && *b }
