// Package intake reads submitted privacy requests (contract §6.2): what they
// say, what is wrong with them, and how that which is personal is kept apart
// from that which is not. It is pure.
package intake

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/vault"
)

// Texts of items that are not taken, known to clients.
const (
	MessageNoIdentity = "You must provide at least one identity to process"
	encryptionKeySize = 16
)

// Limits of what anyone may submit. A request has to fit into a message of NATS
// (1 MiB), with its hashes and its policy, and into the index of the database.
const (
	textAtMost     = 1024
	personalAtMost = 256 << 10
	fieldsAtMost   = 1000
	firstYear      = 1
	lastYear       = 9998 // in every zone
)

// Item is one submitted request, of which the edge has checked the schema.
// Fields that it does not know are ignored.
type Item struct {
	PolicyKey           string                     `json:"policy_key"`
	Identity            json.RawMessage            `json:"identity"`
	RequestedAt         *time.Time                 `json:"requested_at"`
	ExternalID          *string                    `json:"external_id"`
	StartedProcessingAt *time.Time                 `json:"started_processing_at"`
	FinishedAt          *time.Time                 `json:"finished_processing_at"`
	EncryptionKey       *string                    `json:"encryption_key"`
	CustomFields        map[string]json.RawMessage `json:"custom_privacy_request_fields"`
	PropertyID          *string                    `json:"property_id"`
	ConsentRequestID    *string                    `json:"consent_request_id"`
	ConsentPreferences  json.RawMessage            `json:"consent_preferences"`
	Source              *string                    `json:"source"`
	Location            *string                    `json:"location"`
}

// Request is an item that is well formed: what goes into the record, and what
// goes into the vault.
type Request struct {
	Submission record.Submission
	// ExternalID goes into the record sealed.
	ExternalID *string
	Person     vault.Person
	// Echo is the item as an answer shows it where it is not taken: every
	// field of the schema, null where nothing was given.
	Echo Echo
}

// Echo repeats an item to its sender. The encryption key is not repeated.
type Echo struct {
	ExternalID          *string                     `json:"external_id"`
	StartedProcessingAt *edge.Timestamp             `json:"started_processing_at"`
	FinishedAt          *edge.Timestamp             `json:"finished_processing_at"`
	RequestedAt         *edge.Timestamp             `json:"requested_at"`
	Identity            identity.Identity           `json:"identity"`
	ConsentRequestID    *string                     `json:"consent_request_id"`
	PolicyKey           string                      `json:"policy_key"`
	EncryptionKey       *string                     `json:"encryption_key"`
	PropertyID          *string                     `json:"property_id"`
	ConsentPreferences  json.RawMessage             `json:"consent_preferences"`
	CustomFields        map[string]identity.Labeled `json:"custom_privacy_request_fields"`
	Source              *string                     `json:"source"`
	Location            *string                     `json:"location"`
}

// Read reads an item and says everything that is wrong with it, at loc. hashes
// makes the keyed hashes of a text.
func (i Item) Read(now time.Time, hashes func(string) []string, loc ...any) (Request, []identity.Problem) {
	r := reader{loc: loc}
	person, problems := identity.Parse(i.Identity, append(append([]any{}, loc...), "identity")...)
	r.problems = problems
	requested := i.RequestedAt
	if requested == nil {
		requested = &now
	}
	custom := r.customFields(i.CustomFields)
	req := Request{
		ExternalID: i.ExternalID,
		Submission: record.Submission{
			PolicyKey: i.PolicyKey, RequestedAt: requested.UTC(),
			StartedProcessingAt: inUTC(i.StartedProcessingAt), FinishedAt: inUTC(i.FinishedAt),
			Source: i.Source, Location: r.location(i.Location), PropertyID: i.PropertyID,
			CustomFields: len(custom) > 0,
		},
		Person: vault.Person{
			Identity: person, CustomFields: custom, ConsentPreferences: orNil(i.ConsentPreferences),
			EncryptionKey: r.encryptionKey(i.EncryptionKey),
		},
	}
	r.text("external_id", i.ExternalID)
	r.text("property_id", i.PropertyID)
	r.time("requested_at", i.RequestedAt)
	r.time("started_processing_at", i.StartedProcessingAt)
	r.time("finished_processing_at", i.FinishedAt)
	r.size(i, person)
	if len(r.problems) > 0 {
		return Request{}, r.problems
	}
	req.Submission.IdentityHashes, req.Submission.CustomFieldHashes = Hashes(req.Person, hashes)
	req.Echo = i.echo(req)
	return req, nil
}

// Hashes gives the keyed hashes by which a person's request is found: those of
// the identity, and those of the custom fields.
func Hashes(p vault.Person, hashes func(string) []string) (identities, fields map[string][]string) {
	return HashesOf(p.Identity.Values(), hashes), HashesOf(identity.Identity{Custom: p.CustomFields}.Values(), hashes)
}

// HashesOf gives, for each field, the keyed hashes by which a value is found. The
// fields are numbered, in the order of their names: a name is chosen by whoever
// submits the request and may say as much about the person as a value.
func HashesOf(values map[string]string, hashes func(string) []string) map[string][]string {
	if len(values) == 0 {
		return nil
	}
	out := make(map[string][]string, len(values))
	for i, field := range slices.Sorted(maps.Keys(values)) {
		out[strconv.Itoa(i)] = hashes(field + ":" + values[field])
	}
	return out
}

func (i Item) echo(r Request) Echo {
	return Echo{
		ExternalID: i.ExternalID, StartedProcessingAt: edge.TimestampOf(i.StartedProcessingAt),
		FinishedAt: edge.TimestampOf(i.FinishedAt), RequestedAt: edge.TimestampOf(i.RequestedAt), Identity: r.Person.Identity, ConsentRequestID: i.ConsentRequestID,
		PolicyKey: i.PolicyKey, PropertyID: i.PropertyID, ConsentPreferences: r.Person.ConsentPreferences,
		CustomFields: r.Person.CustomFields, Source: i.Source, Location: r.Submission.Location,
	}
}

// reader collects the problems of an item.
type reader struct {
	loc      []any
	problems []identity.Problem
}

func (r *reader) wrong(msg string, at ...any) {
	r.problems = append(r.problems, identity.Problem{
		Type: "value_error", Loc: append(append([]any{}, r.loc...), at...), Msg: msg,
	})
}

// text refuses what the database, or its index, cannot hold.
func (r *reader) text(field string, s *string) {
	switch {
	case s == nil:
	case strings.ContainsRune(*s, 0):
		r.wrong("Value error, NUL characters are not allowed", field)
	case len(*s) > textAtMost:
		r.wrong(fmt.Sprintf("Value error, the text must be no longer than %d bytes", textAtMost), field)
	}
}

// time refuses what cannot be written down, or reckoned from, everywhere.
func (r *reader) time(field string, t *time.Time) {
	if t == nil {
		return
	}
	if year := t.UTC().Year(); year < firstYear || year > lastYear {
		r.wrong(fmt.Sprintf("Value error, the year must be between %d and %d", firstYear, lastYear), field)
	}
}

// inUTC is the time as every store can hold it: some know no zone that is more
// than 15 hours off.
func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// size refuses what would not fit, sealed or with its hashes, into a message.
func (r *reader) size(i Item, person identity.Identity) {
	bytes := len(i.Identity) + len(i.ConsentPreferences)
	for name, raw := range i.CustomFields {
		bytes += len(name) + len(raw)
	}
	if bytes > personalAtMost || len(person.Custom) > fieldsAtMost || len(i.CustomFields) > fieldsAtMost {
		r.wrong(fmt.Sprintf("Value error, identity, custom fields and consent preferences must have no more than %d bytes and %d fields",
			personalAtMost, fieldsAtMost))
	}
}

func (r *reader) location(s *string) *string {
	if s == nil || strings.TrimSpace(*s) == "" {
		return nil
	}
	clean, ok := NormalizeLocation(*s)
	if !ok {
		r.wrong("Value error, Invalid location format '"+*s+
			"'. Must follow ISO 3166 format (e.g., 'US', 'US-CA', 'GB', 'CA-ON', 'EEA')", "location")
		return nil
	}
	return &clean
}

func (r *reader) encryptionKey(s *string) string {
	if s == nil {
		return ""
	}
	if len(*s) != encryptionKeySize {
		r.wrong("Value error, Encryption key must be 16 bytes long", "encryption_key")
	}
	return *s
}

func (r *reader) customFields(fields map[string]json.RawMessage) map[string]identity.Labeled {
	if len(fields) == 0 {
		return nil
	}
	out := make(map[string]identity.Labeled, len(fields))
	for name, raw := range fields {
		labeled, ok := identity.ParseLabeled(raw)
		if !ok || strings.ContainsRune(name, 0) {
			r.wrong(`Value error, a custom field must have the form {"label": "Field label", "value": "123"}`,
				"custom_privacy_request_fields", name)
			continue
		}
		out[name] = labeled
	}
	return out
}

var location = regexp.MustCompile(`^(EEA|[A-Z]{2}(-[A-Z0-9]{1,3})?)$`)

// NormalizeLocation gives an ISO 3166 code in its usual spelling.
func NormalizeLocation(s string) (string, bool) {
	clean := strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(s), "_", "-"))
	return clean, location.MatchString(clean)
}

func orNil(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return raw
}
