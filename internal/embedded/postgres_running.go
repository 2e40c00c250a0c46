package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// ErrNotRunning is returned where the folder has no Postgres that runs.
var ErrNotRunning = errors.New("embedded: no Postgres is running")

// socketLine is the line of the server's own lock file that has the folder of
// its socket.
const socketLine = 4

// RunningPostgres is where clients connect to a database of the cluster that
// another process has started in dir, as PostgresOptions.Dir names it.
func RunningPostgres(dir, database string) (string, error) {
	file := filepath.Join(dir, "postgres", "data", "postmaster.pid")
	text, err := os.ReadFile(file) //nolint:gosec // the folder is the operator's
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w in %s", ErrNotRunning, dir)
	}
	if err != nil {
		return "", fmt.Errorf("embedded: Postgres: %w", err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) <= socketLine || lines[socketLine] == "" {
		return "", fmt.Errorf("%w in %s: it is starting", ErrNotRunning, dir)
	}
	return socketURL(lines[socketLine], database), nil
}

func socketURL(folder, database string) string {
	query := url.Values{"host": {folder}, "port": {"5432"}, "sslmode": {"disable"}}
	// In the URL of a Postgres a plus sign is no space.
	raw := strings.ReplaceAll(query.Encode(), "+", "%20")
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database, RawQuery: raw}
	return u.String()
}
