package schema_test

import (
	"testing"
	"testing/fstest"

	"github.com/parley-dsr/parley/internal/schema"
)

func TestLatest(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"migrations/00002_b.sql": {}, "migrations/00011_c.sql": {}, "migrations/README": {}, "other/00020_d.sql": {},
	}
	for folder, want := range map[string]int64{"migrations": 11, "other": 20, "none": 0} {
		if got := schema.Latest(files, folder); got != want {
			t.Errorf("%s: %d, want %d", folder, got, want)
		}
	}
}
