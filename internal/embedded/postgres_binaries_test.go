package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]binaries{
		"postgres (PostgreSQL) 15.9 (Debian 15.9-0+deb12u1)\n": {version: "15.9", major: 15},
		"postgres (PostgreSQL) 18beta1":                        {version: "18beta1", major: 18},
		"postgres (PostgreSQL) 9.6.24":                         {version: "9.6.24", major: 9},
	} {
		got, err := parseVersion("", text)
		if err != nil || got != want {
			t.Errorf("parseVersion(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	if _, err := parseVersion("", "no number"); err == nil {
		t.Error("no error for a text without a version")
	}
}

// install makes a folder with programs that answer --version.
func install(t *testing.T, version string, programs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range programs {
		script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s'\n", version)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindBinaries(t *testing.T) {
	t.Parallel()
	all := wanted()
	old, recent := install(t, "14.2", all...), install(t, "16.1", all...)
	alone := install(t, "17.0", "postgres") // the server without initdb is of no use
	linked := t.TempDir()
	if err := os.Symlink(filepath.Join(recent, "postgres"), filepath.Join(linked, "postgres")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		dirs  []string
		major int
		want  string
		err   error
	}{
		"the newest":            {dirs: []string{alone, old, recent}, want: recent},
		"that of the cluster":   {dirs: []string{old, recent}, major: 14, want: old},
		"behind a link":         {dirs: []string{linked}, want: recent},
		"relative folders":      {dirs: []string{".", ""}, err: ErrNoPostgres},
		"incomplete":            {dirs: []string{alone}, err: ErrNoPostgres},
		"none of the cluster's": {dirs: []string{old}, major: 16, err: ErrNoPostgres},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := findBinaries(t.Context(), test.dirs, test.major)
			if got.dir != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %q, %v, want %q, %v", got.dir, err, test.want, test.err)
			}
		})
	}
}
