package readmodel

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/record"
)

// Range of times, both ends strict; nil is open.
type Range struct{ After, Before *time.Time }

// Filter selects requests (contract §6.4). Its zero value selects all that are
// not deleted.
type Filter struct {
	IDs             []string
	ExcludeIDs      []string
	IDPart          string
	Statuses        []string
	IdentityHashes  []string
	FieldHashes     []string
	Fuzzy           string   // begin of an id …
	FuzzyHashes     []string // … or one of these hashes
	ExternalID      string   // begin of it
	Location        string   // a country includes its subdivisions
	Actions         []string
	Created         Range
	Started         Range
	Completed       Range
	Errored         Range
	OverdueAt       *time.Time
	NotOverdueAt    *time.Time
	Deleted         bool // also the deleted ones
	ConsentWebhooks bool // also those of the source Consent Webhook
}

// Order of a list; the zero value is newest first.
type Order struct {
	Field     string
	Ascending bool
}

// sortColumn is the column by which a field is sorted, and whether it may be
// null. Only these ever reach a statement.
func sortColumn(field string) (column string, nullable, ok bool) {
	switch field {
	case "":
		return "created_at", false, true
	case "id", "status", "created_at", "updated_at":
		return field, false, true
	case "external_id", "source", "location", "started_processing_at", "finished_processing_at", "reviewed_at", "paused_at",
		"canceled_at", "due_date", "deleted_at":
		return field, true, true
	case "days_left":
		return "due_date", true, true
	}
	return "", false, false
}

// planned lets every statement of a search be planned for the values that it
// has: a plan for any value would not know that a begin of a text finds few.
const planned = pgx.QueryExecModeCacheDescribe

// Search gives one page of the selected requests and the number of all. It is
// written out rather than generated: a statement has only the conditions that
// were asked for, so that each is served by its index.
func (s *Store) Search(ctx context.Context, f Filter, o Order, page, size int) ([]*record.Record, int, error) {
	if _, _, ok := sortColumn(o.Field); !ok {
		return nil, 0, ErrSortField
	}
	skip := edge.Paging{Page: page, Size: size}.Offset()
	var total int
	var found [][]byte
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		if total, err = s.count(ctx, f); err != nil || total <= skip {
			return err
		}
		list, args := listStatement(f, o, skip, size, total <= few)
		rows, _ := s.pool.Query(ctx, list, append([]any{planned}, args...)...) // CollectRows has its error
		found, err = pgx.CollectRows(rows, pgx.RowTo[[]byte])
		return err
	})
	if err != nil {
		return nil, total, err
	}
	records := make([]*record.Record, len(found))
	for i, data := range found {
		if records[i], err = readRecord(data); err != nil {
			return nil, total, unavailable(err)
		}
	}
	return records, total, nil
}

func (s *Store) count(ctx context.Context, f Filter) (total int, err error) {
	statement, args := countStatement(f)
	err = s.pool.QueryRow(ctx, statement, append([]any{planned}, args...)...).Scan(&total)
	return total, err
}

func countStatement(f Filter) (statement string, args []any) {
	var c conditions
	c.filter(f)
	return "SELECT count(*) FROM requests" + c.where(), c.args
}

// few is how many requests are found first and sorted then. Who looks for many
// reads them in their order until a page is full; for few that reads nearly all,
// and the planner, which guesses how many there are, cannot be trusted with the
// choice.
const few = 2000

// listStatement finds the ids of a page in an index, and only then reads the
// records, which are large.
func listStatement(f Filter, o Order, skip, size int, findFirst bool) (statement string, args []any) {
	column, nullable, _ := sortColumn(o.Field)
	direction := " DESC"
	if o.Ascending {
		direction = " ASC"
	}
	last := ""
	if nullable {
		last = " NULLS LAST"
	}
	order := func(place, id string) string { return " ORDER BY " + place + direction + last + ", " + id + direction }
	page := " LIMIT " + strconv.Itoa(size) + " OFFSET " + strconv.Itoa(skip)
	var c conditions
	c.filter(f)
	found := "SELECT id, " + column + " AS place FROM requests" + c.where()
	if findFirst {
		found = "WITH matched AS MATERIALIZED (" + found + ") SELECT id, place FROM matched" + order("place", "id") + page
	} else {
		found += order(column, "id") + page
	}
	return "SELECT r.record FROM (" + found + ") AS found JOIN requests AS r ON r.id = found.id" + order("found.place", "found.id"), c.args
}

// SelectIDs gives the ids of all selected requests; ErrTooMany, and their
// number, where there are more than atMost.
func (s *Store) SelectIDs(ctx context.Context, f Filter, atMost int) ([]string, int, error) {
	var total int
	var ids []string
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		if total, err = s.count(ctx, f); err != nil || total > atMost {
			return err
		}
		statement, args := idsStatement(f)
		rows, _ := s.pool.Query(ctx, statement, append([]any{planned}, args...)...) // CollectRows has its error
		ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	switch {
	case err != nil:
		return nil, 0, err
	case total > atMost:
		return nil, total, ErrTooMany
	}
	return ids, len(ids), nil
}

func idsStatement(f Filter) (statement string, args []any) {
	var c conditions
	c.filter(f)
	return "SELECT id FROM requests" + c.where() + " ORDER BY created_at, id", c.args
}

func readRecord(data []byte) (*record.Record, error) {
	rec := new(record.Record)
	if err := json.Unmarshal(data, rec); err != nil {
		return nil, fmt.Errorf("readmodel: decode record: %w", err)
	}
	return rec, nil
}

// conditions collects the WHERE clause of a statement and its arguments.
type conditions struct {
	clauses []string
	args    []any
}

// and adds a clause; each "?" in it stands for the next value.
func (c *conditions) and(clause string, values ...any) {
	for _, v := range values {
		c.args = append(c.args, v)
		clause = strings.Replace(clause, "?", "$"+strconv.Itoa(len(c.args)), 1)
	}
	c.clauses = append(c.clauses, clause)
}

func (c *conditions) where() string {
	if len(c.clauses) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.clauses, " AND ")
}

func (c *conditions) filter(f Filter) {
	hidden := []string{"Dataset Test"}
	if !f.ConsentWebhooks && f.IDPart == "" {
		hidden = append(hidden, "Consent Webhook")
	}
	c.and("(source IS NULL OR source <> ALL(?::text[]))", hidden)
	if !f.Deleted {
		c.and("deleted_at IS NULL")
	}
	c.identifiers(f)
	c.properties(f)
	c.times("created_at", f.Created)
	c.times("started_processing_at", f.Started)
	c.ended("complete", f.Completed)
	c.ended("error", f.Errored)
	const open = "status NOT IN ('complete', 'denied', 'canceled', 'error')"
	if f.OverdueAt != nil {
		c.and(open+" AND due_date < ?", *f.OverdueAt)
	}
	if f.NotOverdueAt != nil {
		c.and("NOT ("+open+" AND due_date IS NOT NULL AND due_date < ?)", *f.NotOverdueAt)
	}
}

// idLength is how long ids are: what is not shorter is a whole one.
const idLength = len("pri_") + len("00000000-0000-4000-8000-000000000000")

func (c *conditions) identifiers(f Filter) {
	if f.IDs != nil {
		c.and("id = ANY(?::text[])", f.IDs)
	}
	if len(f.ExcludeIDs) > 0 {
		c.and("NOT id = ANY(?::text[])", f.ExcludeIDs)
	}
	switch part := strings.ToLower(f.IDPart); { // ids are lower-case, and as long as each other
	case len(part) >= idLength:
		c.and("id = ?", part)
	case part != "":
		c.and("id LIKE ?", "%"+escapeLike(part)+"%")
	}
	if f.IdentityHashes != nil {
		c.and("identity_hashes && ?::text[]", f.IdentityHashes)
	}
	if f.FieldHashes != nil {
		c.and("custom_field_hashes && ?::text[]", f.FieldHashes)
	}
	if f.Fuzzy != "" {
		c.and("(id LIKE ? OR identity_hashes && ?::text[])", escapeLike(strings.ToLower(f.Fuzzy))+"%", f.FuzzyHashes)
	}
	if f.ExternalID != "" {
		// The database lowers both: which letters have a small form is its locale's to say.
		c.and("lower(external_id) LIKE lower(?)", escapeLike(begin(f.ExternalID))+"%")
	}
}

func (c *conditions) properties(f Filter) {
	if len(f.Statuses) > 0 {
		c.and("status = ANY(?::text[])", f.Statuses)
	}
	if len(f.Actions) > 0 {
		c.and("actions && ?::text[]", f.Actions)
	}
	if f.Location != "" {
		c.and("(location = ? OR location LIKE ?)", f.Location, escapeLike(f.Location)+"-%")
	}
}

func (c *conditions) times(column string, r Range) {
	if r.After != nil {
		c.and(column+" > ?", *r.After)
	}
	if r.Before != nil {
		c.and(column+" < ?", *r.Before)
	}
}

// ended selects requests of a status by the time at which they ended.
func (c *conditions) ended(status string, r Range) {
	if r.After == nil && r.Before == nil {
		return
	}
	c.and("status = ?", status)
	c.times("finished_processing_at", r)
}

func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}
