// Package criteria reads what callers ask for when they look for privacy
// requests (contract §6.4) or select them for a bulk action (§6.6), and turns
// it into a filter of the read model. It is pure.
package criteria

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/services/orchestrator/internal/intake"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

// Search is the body of a search, of which the edge has checked the schema;
// every field is optional.
type Search struct {
	RequestID        *string    `json:"request_id"`
	Status           OneOrMany  `json:"status"`
	Identities       Values     `json:"identities"`
	Fuzzy            *string    `json:"fuzzy_search_str"`
	CustomFields     Values     `json:"custom_privacy_request_fields"`
	ExternalID       *string    `json:"external_id"`
	Location         *string    `json:"location"`
	ActionType       OneOrMany  `json:"action_type"`
	CreatedBefore    *time.Time `json:"created_lt"`
	CreatedAfter     *time.Time `json:"created_gt"`
	StartedBefore    *time.Time `json:"started_lt"`
	StartedAfter     *time.Time `json:"started_gt"`
	CompletedBefore  *time.Time `json:"completed_lt"`
	CompletedAfter   *time.Time `json:"completed_gt"`
	ErroredBefore    *time.Time `json:"errored_lt"`
	ErroredAfter     *time.Time `json:"errored_gt"`
	Overdue          *bool      `json:"is_overdue"`
	Deleted          *bool      `json:"include_deleted_requests"`
	ConsentWebhooks  *bool      `json:"include_consent_webhook_requests"`
	Verbose          *bool      `json:"verbose"`
	WithIdentities   *bool      `json:"include_identities"`
	WithCustomFields *bool      `json:"include_custom_privacy_request_fields"`
	SortField        *string    `json:"sort_field"`
	SortDirection    *string    `json:"sort_direction"`

	// AnyIdentity is an identity of any standard field; only the query of a
	// GET has it.
	AnyIdentity *string `json:"-"`
}

// Hashes makes the keyed hashes of a text.
type Hashes func(string) []string

// Filter gives the filter of the read model, or an error, whose text clients
// know, where the search contradicts itself (status 400).
func (s Search) Filter(now time.Time, hashes Hashes) (readmodel.Filter, error) {
	f := readmodel.Filter{
		IDPart: orEmpty(s.RequestID), ExternalID: orEmpty(s.ExternalID),
		Statuses: s.Status, Actions: s.ActionType,
		Deleted: isTrue(s.Deleted), ConsentWebhooks: isTrue(s.ConsentWebhooks),
		Created:   readmodel.Range{After: s.CreatedAfter, Before: s.CreatedBefore},
		Started:   readmodel.Range{After: s.StartedAfter, Before: s.StartedBefore},
		Completed: readmodel.Range{After: s.CompletedAfter, Before: s.CompletedBefore},
		Errored:   readmodel.Range{After: s.ErroredAfter, Before: s.ErroredBefore},
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
	return f, contradiction(f)
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

func hashesOf(values Values, hashes Hashes) []string {
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
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return numberText(v), true
	}
	return "", false
}

// exactAtMost is the first of the numbers that floats do not tell apart.
const exactAtMost = 1 << 53

// numberText writes a whole number as it is hashed when it is submitted, also
// where it was written as a float; no other number can be submitted.
func numberText(n json.Number) string {
	if whole, err := n.Int64(); err == nil {
		return strconv.FormatInt(whole, 10)
	}
	if f, err := n.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < exactAtMost {
		return strconv.FormatInt(int64(f), 10)
	}
	return n.String()
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
			return Refusal(fmt.Sprintf("Value specified for %[1]s_lt: %[2]s must be after %[1]s_gt: %[3]s.",
				r.name, stamp(*r.Before), stamp(*r.After)))
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

// Values are what is looked for, by field: texts, json.Numbers, booleans. What
// is none of these finds nothing.
type Values map[string]any

// UnmarshalJSON keeps numbers as they are written: a float would not be exact.
func (v *Values) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode((*map[string]any)(v)); err != nil {
		return fmt.Errorf("criteria: values: %w", err)
	}
	return nil
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

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func isTrue(b *bool) bool { return b != nil && *b }
