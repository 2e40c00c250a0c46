package embedded_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/internal/embedded"
)

func startPostgres(t *testing.T, dir string, databases ...string) *embedded.Postgres {
	t.Helper()
	p, err := embedded.StartPostgres(t.Context(), embedded.PostgresOptions{Dir: dir, Databases: databases})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func query[T any](t *testing.T, url, sql string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var value T
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestPostgresKeepsWhatWasWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startPostgres(t, dir, "config", "orchestrator", `odd "name`)
	execute(t, p.URL("config"), "CREATE TABLE kept AS SELECT 7 AS n")
	if got := query[string](t, p.URL(`odd "name`), "SELECT current_database()"); got != `odd "name` {
		t.Errorf("database %q", got)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatalf("second Close: %v", err)
	}
	again := startPostgres(t, dir, "config", "orchestrator")
	if got := query[int](t, again.URL("config"), "SELECT n FROM kept"); got != 7 {
		t.Errorf("after a restart: %d", got)
	}
}

func TestPostgresIsDurableUTF8AndPrivate(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, t.TempDir(), "config")
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
		"server_encoding": "UTF8", "listen_addresses": "", "unix_socket_permissions": "0700",
	} {
		if got := query[string](t, p.URL("config"), "SELECT current_setting('"+setting+"')"); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
}

func TestPostgresRefusesADirectoryInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startPostgres(t, dir)
	_, err := embedded.StartPostgres(t.Context(), embedded.PostgresOptions{Dir: dir})
	if !errors.Is(err, embedded.ErrDirInUse) {
		t.Fatalf("error %v, want ErrDirInUse", err)
	}
}

func TestPostgresInADirectoryThatOthersCannotEnter(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, closedDir(t), "config")
	if got := query[string](t, p.URL("config"), "SELECT current_user::text"); got != "parley" {
		t.Errorf("user %q", got)
	}
}

// closedDir is below a folder that only this user, often root, can enter. Its
// name has a space.
func closedDir(t *testing.T) string {
	t.Helper()
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(closed, "data dir")
}

func TestPostgresWithAPathTooLongForASocket(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, filepath.Join(t.TempDir(), strings.Repeat("long", 30)), "config")
	query[int](t, p.URL("config"), "SELECT 1")
}

func TestPostgresSaysWhyItDidNotStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startPostgres(t, dir)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "postgres", "data", "postgresql.conf")
	if err := os.WriteFile(conf, []byte("nonsense = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := embedded.StartPostgres(t.Context(), embedded.PostgresOptions{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "nonsense") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("error %v, want one line that names the setting", err)
	}
}

// TestPostgresDoesNotOutliveItsParent kills a process that runs a Postgres and
// starts another one over the same directory at once, in spite of what the
// first left behind.
func TestPostgresDoesNotOutliveItsParent(t *testing.T) {
	t.Parallel()
	dir := closedDir(t)
	parent := startParent(t, dir)
	if err := parent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed
	pidFile := filepath.Join(dir, "postgres", "data", "postmaster.pid")
	p := startPostgres(t, dir, "config") // waits for the orphan to end
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}

	// The process id in a file of long ago belongs to somebody else now.
	if err := os.WriteFile(pidFile, []byte("1\n"+filepath.Dir(pidFile)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	startPostgres(t, dir, "config")
}

// startParent runs this test binary as a process that starts a Postgres and
// waits. It returns when Postgres is running.
func startParent(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestParentProcess$")
	cmd.Env = append(os.Environ(), "PARLEY_TEST_POSTGRES_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "running") {
			return cmd
		}
	}
	t.Fatal("the process did not start its Postgres")
	return nil
}

// TestParentProcess is not a test by itself: it is the process that
// TestPostgresDoesNotOutliveItsParent kills.
func TestParentProcess(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("PARLEY_TEST_POSTGRES_DIR")
	if dir == "" {
		return
	}
	p, err := embedded.StartPostgres(t.Context(), embedded.PostgresOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdout.WriteString("running\n")
	select {
	case <-p.Done():
	case <-time.After(time.Minute): // nobody killed us
	}
}

func TestPostgresTellsWhenItEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startPostgres(t, dir)
	conn, err := pgx.Connect(t.Context(), p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	// A fast shutdown from elsewhere; the server's process id is in its file.
	out, err := exec.CommandContext(t.Context(), "head", "-n1", filepath.Join(dir, "postgres", "data", "postmaster.pid")).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.CommandContext(t.Context(), "kill", "-INT", strings.TrimSpace(string(out))).Run(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("the connection still works")
	}
}
