package reconcile

import "github.com/parley-dsr/parley/internal/record"

// verdict is which of the two records of a request counts.
type verdict int

const (
	// alike: it is the same record in both places.
	alike verdict = iota
	// project: that of the bucket is the later one.
	project
	// putBack: that of the database is.
	putBack
	// raise: that of the bucket counts, and has to be written once more under a
	// revision that the database takes for later.
	raise
)

// judge decides by what the records say of themselves.
//
// As a rule the higher revision is the later record. But a bucket that went back
// and moved on before it was compared has given revisions a second time, to
// other records: those differ in their epoch. Then a final status counts, which
// nothing can leave, and otherwise what was decided last.
func judge(present, stored *record.Record) verdict {
	switch {
	case stored.Status.Final() && !present.Status.Final():
		return putBack
	case present.Status.Final() && !stored.Status.Final() && present.Revision <= stored.Revision:
		return raise
	case present.Revision > stored.Revision:
		return project
	case present.Revision < stored.Revision:
		return putBack
	case same(present, stored):
		return alike
	case present.UpdatedAt.Before(stored.UpdatedAt):
		return putBack
	}
	return raise
}

// same looks at records of one revision. Their outboxes may differ: one is
// cleared under the revision that it has.
func same(a, b *record.Record) bool {
	return a.Epoch == b.Epoch && a.Sequence == b.Sequence && a.Status == b.Status && a.UpdatedAt.Equal(b.UpdatedAt)
}
