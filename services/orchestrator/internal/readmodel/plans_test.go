package readmodel_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

// TestEverySearchHasItsIndex explains every filter and every sort over a table
// that is large enough for Postgres to have a choice: none reads the table from
// its begin to its end.
func TestEverySearchHasItsIndex(t *testing.T) {
	t.Parallel()
	s := open(t)
	c := newCrowd(5_000)
	c.project(t, s, 1)
	settled(t, s)
	for _, q := range c.searches() {
		statements := readmodel.Statements(q.filter, q.order, q.page, 50)
		few, err := s.IDs(t.Context(), statements[0])
		must(t, err)
		many, err := s.IDs(t.Context(), statements[1])
		must(t, err)
		if diff := cmp.Diff(few, many); diff != "" {
			t.Errorf("%s: the two ways to read a page differ: %s", q.name, diff)
		}
		if strings.HasPrefix(q.name, "sorted") {
			statements = statements[:2] // the others do not know of it
		}
		for _, st := range statements {
			plan, err := s.Explain(t.Context(), st, "")
			must(t, err)
			if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan") {
				t.Errorf("%s, %s:\n%s\n%s", q.name, st.Name, st.SQL, text)
			}
		}
	}
	referenced, err := s.Explain(t.Context(), readmodel.Statement{
		SQL: "SELECT EXISTS (SELECT 1 FROM requests WHERE policy_key = $1)", Args: []any{"no_such_policy"},
	}, "")
	must(t, err)
	if text := strings.Join(referenced, "\n"); !strings.Contains(text, "requests_by_policy") {
		t.Errorf("whether a policy is referred to:\n%s", text)
	}
}

// TestASortIsTheSameFromEveryIndex pages through lists: each shows every request
// once, in order, those without a value last.
func TestASortIsTheSameFromEveryIndex(t *testing.T) {
	t.Parallel()
	s := open(t)
	c := newCrowd(120)
	c.project(t, s, 1)
	_, total, err := s.Search(t.Context(), readmodel.Filter{}, readmodel.Order{}, 1, 1)
	must(t, err)
	for _, q := range sorts() {
		seen := map[string]bool{}
		for page := 1; page <= (total+99)/100; page++ {
			records, count, err := s.Search(t.Context(), q.filter, q.order, page, 100)
			must(t, err)
			for _, rec := range records {
				seen[rec.ID] = true
			}
			if count != total {
				t.Errorf("%s: %d requests, want %d", q.name, count, total)
			}
		}
		if len(seen) != total {
			t.Errorf("%s shows %d of %d requests", q.name, len(seen), total)
		}
	}
	for _, part := range []string{idOf(77), strings.ToUpper(idOf(77)), idOf(77)[8:20], idOf(77)[:39]} {
		found, total, err := s.Search(t.Context(), readmodel.Filter{IDPart: part, Deleted: true}, readmodel.Order{}, 1, 50)
		must(t, err)
		if total != 1 || found[0].ID != idOf(77) {
			t.Errorf("by %s: %d", part, total)
		}
	}
	_, _, err = s.Search(t.Context(), readmodel.Filter{}, readmodel.Order{Field: "record"}, 1, 1)
	if !errors.Is(err, readmodel.ErrSortField) {
		t.Errorf("sorted by what is no field: %v", err)
	}
	records, _, err := s.Search(t.Context(), readmodel.Filter{}, readmodel.Order{Field: "finished_processing_at"}, 1, 150)
	must(t, err)
	for i := 1; i < len(records); i++ {
		before, after := records[i-1].FinishedAt, records[i].FinishedAt
		if before == nil && after != nil || before != nil && after != nil && before.Before(*after) {
			t.Fatalf("%v stands before %v", before, after)
		}
	}
}
