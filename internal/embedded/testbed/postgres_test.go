package testbed_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

func TestPostgresGivesEveryTestItsOwn(t *testing.T) {
	t.Parallel()
	for range 3 {
		t.Run("one", func(t *testing.T) {
			t.Parallel()
			conn, err := pgx.Connect(t.Context(), testbed.Postgres(t))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close(t.Context()) }()
			if _, err := conn.Exec(t.Context(), "CREATE TABLE same (n int)"); err != nil {
				t.Fatal(err)
			}
		})
	}
}
