package store

import (
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// TestWhatIsConfirmedOutlastsACrash: a change that was answered is not lost,
// though the owner of the database may not mind, as in tests.
func TestWhatIsConfirmedOutlastsACrash(t *testing.T) {
	t.Parallel()
	s, err := Open(testbed.Postgres(t), Options{Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got string
	if err := s.pool.QueryRow(t.Context(), "SELECT current_setting('synchronous_commit')").Scan(&got); err != nil || got != "on" {
		t.Errorf("synchronous_commit is %q, %v", got, err)
	}
}
