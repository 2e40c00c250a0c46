package readmodel_test

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

// rows is how many requests are stored.
func rows(b *testing.B) int {
	b.Helper()
	n, err := strconv.Atoi(cmpOr(os.Getenv("SEARCH_ROWS"), "200000"))
	if err != nil || n < 1000 {
		b.Fatal("SEARCH_ROWS takes a number of requests from 1000 on")
	}
	return n
}

func cmpOr(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func openBench(b *testing.B) *readmodel.Store {
	b.Helper()
	s, err := readmodel.Open(b.Context(), testbed.Postgres(b), unseal)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	if err := s.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	return s
}

// median of a few runs, the first of which warms the caches.
func median(b *testing.B, do func() error) time.Duration {
	b.Helper()
	const runs = 5
	var took []time.Duration
	for i := range runs + 1 {
		began := time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		if i > 0 {
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// BenchmarkSearch fills a table and prints, for every filter and every sort, how
// long a search takes and how Postgres finds what is asked for. Run it with
//
//	make bench-search
func BenchmarkSearch(b *testing.B) {
	s := openBench(b)
	c := newCrowd(rows(b))
	if err := s.MigrateBack(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
	filled := took(func() { c.project(b, s, 1) })
	migrated := took(func() {
		if err := s.Migrate(b.Context()); err != nil {
			b.Fatal(err)
		}
	})
	out := os.Stdout // b.Output is cut off
	say(out, "%d requests projected in %.1fs, the indexes made in %.1fs\n", c.size, filled.Seconds(), migrated.Seconds())
	fillLogs(b, s)
	settled(b, s)
	sizes, err := s.Sizes(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	say(out, "%s\n", strings.Join(sizes, "\n"))
	explain(b, s, out, c)
	say(out, "\n%-36s %9s %9s %9s  %s\n", "search", "found", "whole ms", "count ms", "indexes (count / page)")
	for _, q := range c.searches() {
		report(b, s, out, q)
	}
	verbose := median(b, func() error {
		records, _, err := s.Search(b.Context(), readmodel.Filter{}, readmodel.Order{}, 1, 50)
		if err != nil {
			return err
		}
		var ids []string
		for _, rec := range records {
			ids = append(ids, rec.ID)
		}
		_, err = s.Log(b.Context(), ids)
		return err
	})
	say(out, "%-36s %9s %9s\n", "nothing asked, verbose", "", milliseconds(verbose))
}

// fillLogs gives every request five entries.
func fillLogs(b *testing.B, s *readmodel.Store) {
	b.Helper()
	for _, statement := range []string{
		`INSERT INTO log_entries (fact_id, part, request_id, kind, dataset_name, status, message, action_type, sequence, at)
		SELECT id || '.' || n, 0, id, 'execution', 'Webhook', 'complete', 'Webhook ''prep'' succeeded', 'access', n, created_at
		FROM requests, generate_series(1, 5) AS n`,
		"VACUUM (ANALYZE) log_entries",
	} {
		if err := s.Exec(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
}

func report(b *testing.B, s *readmodel.Store, out io.Writer, q asked) {
	b.Helper()
	found := 0
	whole := median(b, func() (err error) {
		_, found, err = s.Search(b.Context(), q.filter, q.order, q.page, 50)
		return err
	})
	statements := readmodel.Statements(q.filter, q.order, q.page, 50)
	used := map[string][]string{}
	var counting string
	for _, st := range statements {
		plan, err := s.Explain(b.Context(), st, "(ANALYZE)")
		if err != nil {
			b.Fatal(err)
		}
		used[st.Name] = accesses(plan)
		if st.Name == "count" {
			counting = strings.TrimSuffix(strings.TrimPrefix(plan[len(plan)-1], "Execution Time: "), " ms")
		}
	}
	page := "page"
	if found <= readmodel.Few {
		page = "few"
	}
	say(out, "%-36s %9d %9s %9s  %s / %s\n", q.name, found, milliseconds(whole), counting,
		strings.Join(used["count"], "+"), strings.Join(used[page], "+"))
}

// accesses are the ways in which a plan reads the table of requests.
func accesses(plan []string) []string {
	var list []string
	for _, line := range plan {
		line = strings.TrimPrefix(strings.TrimSpace(line), "->  ")
		access, _, _ := strings.Cut(line, "  (")
		if !strings.Contains(access, "Scan") || strings.Contains(access, "Bitmap Heap Scan") || strings.HasSuffix(access, " r") ||
			strings.HasPrefix(access, "CTE") {
			continue
		}
		access = strings.NewReplacer("Index Only Scan", "only", "Bitmap Index Scan", "bitmap", "Index Scan", "index",
			" using requests_", " ", " on requests_", " ", " on requests", "", "Backward", "backward").Replace(access)
		list = append(list, access)
	}
	return list
}

// explain prints some plans whole.
func explain(b *testing.B, s *readmodel.Store, out io.Writer, c *crowd) {
	b.Helper()
	for _, q := range c.searches() {
		if !slices.Contains([]string{"nothing asked", "location, a country", "external_id, few", "completed, a week", "sorted by due_date, asc"}, q.name) {
			continue
		}
		statements := readmodel.Statements(q.filter, q.order, q.page, 50)
		if q.name == "external_id, few" {
			statements[1] = statements[0]
		}
		for _, st := range statements[1:3] {
			plan, err := s.Explain(b.Context(), st, "(ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)")
			if err != nil {
				b.Fatal(err)
			}
			say(out, "\n%s, %s:\n%s\n", q.name, st.Name, strings.Join(plan, "\n"))
		}
	}
}

// BenchmarkProjection measures what the indexes cost: how fast new requests and
// changed ones are written, with the indexes of the first schema and with those
// of now, turn by turn.
func BenchmarkProjection(b *testing.B) {
	const turns, size = 3, 10_000
	out := os.Stdout // b.Output is cut off
	for range turns {
		for _, version := range []int64{1, 0} {
			s := openBench(b)
			if version > 0 {
				if err := s.MigrateBack(b.Context(), version); err != nil {
					b.Fatal(err)
				}
			}
			c := newCrowd(size)
			first, firstLog := project(b, s, c, 1)
			second, secondLog := project(b, s, c, 2)
			say(out, "schema %-6s %6.0f new requests a second, %.1f kB written for each; %6.0f changes a second, %.1f kB\n",
				map[int64]string{1: "1", 0: "latest"}[version], first, firstLog, second, secondLog)
		}
	}
}

// project gives requests a second, and what is written into the log of Postgres
// for each, in kilobytes.
func project(b *testing.B, s *readmodel.Store, c *crowd, revision uint64) (rate, written float64) {
	b.Helper()
	before, err := s.Written(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	lasted := took(func() { c.project(b, s, revision) })
	after, err := s.Written(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return float64(c.size) / lasted.Seconds(), float64(after-before) / float64(c.size) / 1000
}

func took(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }

func say(out io.Writer, format string, values ...any) { _, _ = fmt.Fprintf(out, format, values...) }
