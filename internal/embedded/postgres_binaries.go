package embedded

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// binaries is an installed Postgres server.
type binaries struct {
	dir     string
	version string // "15.9"
	major   int
}

func (b binaries) path(name string) string { return filepath.Join(b.dir, name) }

// wanted are the programs that a folder must have. Packages put a client, or
// the server alone, into the search path; that is not enough.
func wanted() []string { return []string{"initdb", "pg_ctl", "postgres"} }

// installedIn are the folders of the usual packages, beside the search path.
func installedIn() []string {
	var dirs []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/usr/lib/postgresql*/bin",
		"/usr/local/pgsql/bin",
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
	} {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		dirs = append(dirs, found...)
	}
	return dirs
}

// findBinaries returns the newest server on this machine, or of the given major
// version where that is not 0: a cluster is run only by the version that made
// it.
func findBinaries(ctx context.Context, dirs []string, major int) (binaries, error) {
	var all []binaries
	seen := map[string]bool{}
	for _, dir := range dirs {
		real, ok := serverDir(dir)
		if !ok || seen[real] {
			continue
		}
		seen[real] = true
		if b, err := readVersion(ctx, real); err == nil {
			all = append(all, b)
		}
	}
	if len(all) == 0 {
		return binaries{}, ErrNoPostgres
	}
	slices.SortStableFunc(all, func(a, b binaries) int { return b.major - a.major })
	if major == 0 {
		return all[0], nil
	}
	i := slices.IndexFunc(all, func(b binaries) bool { return b.major == major })
	if i < 0 {
		return binaries{}, fmt.Errorf("%w: the cluster was made by version %d, installed is %s", ErrNoPostgres, major, all[0].version)
	}
	return all[i], nil
}

// serverDir follows the links of a folder's programs to where the package keeps
// them, since Postgres looks for its other files beside them.
func serverDir(dir string) (string, bool) {
	if dir == "" || !filepath.IsAbs(dir) {
		return "", false
	}
	server, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return "", false
	}
	real := filepath.Dir(server)
	for _, name := range wanted() {
		info, err := os.Stat(filepath.Join(real, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return "", false
		}
	}
	return real, true
}

// readVersion asks the server itself; folders are named in too many ways.
func readVersion(ctx context.Context, dir string) (binaries, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output() //nolint:gosec // a folder of the search path
	if err != nil {
		return binaries{}, fmt.Errorf("embedded: postgres --version: %w", err)
	}
	return parseVersion(dir, string(out))
}

var versionPattern = regexp.MustCompile(`(\d+)(?:[.\w]*)`)

// parseVersion reads "postgres (PostgreSQL) 15.9 (Debian 15.9-0+deb12u1)".
func parseVersion(dir, text string) (binaries, error) {
	match := versionPattern.FindStringSubmatch(text)
	if match == nil {
		return binaries{}, fmt.Errorf("embedded: cannot read the version of %s", dir)
	}
	major, err := strconv.Atoi(match[1])
	if err != nil {
		return binaries{}, fmt.Errorf("embedded: cannot read the version of %s: %w", dir, err)
	}
	return binaries{dir: dir, version: match[0], major: major}, nil
}
