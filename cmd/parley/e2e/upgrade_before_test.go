//go:build upgrade

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	repository = "../../.."
	// beforeVariable names the revision that is upgraded from. If it is empty,
	// that is the commit before.
	beforeVariable = "BEFORE"
	beforeDefault  = "HEAD~1"
)

// version is a build of the four services.
type version struct {
	name string
	dir  string
}

func (v version) binary(service string) string { return filepath.Join(v.dir, "parley-"+service) }

// thisVersion is built from the working tree.
func thisVersion(t *testing.T) version {
	t.Helper()
	return version{name: "this", dir: filepath.Dir(binary(t, "parley"))}
}

// versionBefore is the version that is upgraded from.
func versionBefore(t *testing.T) version {
	t.Helper()
	v, err := builtBefore()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// builtBefore builds that version once, and says which it is.
var builtBefore = sync.OnceValues(func() (version, error) {
	dir, err := os.MkdirTemp("", "parley-before-")
	if err != nil {
		return version{}, err
	}
	removeLater(dir)
	source, what, err := sourceBefore(filepath.Join(dir, "source"))
	if err != nil {
		return version{}, err
	}
	fmt.Println("upgrade from:", what)
	bin := filepath.Join(dir, "bin")
	args := []string{"build", "-ldflags", "-X github.com/parley-dsr/parley/internal/process.version=before", "-o", bin + "/"}
	for _, name := range serviceNames {
		args = append(args, "./services/"+name+"/cmd/parley-"+name)
	}
	if err := os.Mkdir(bin, 0o700); err != nil {
		return version{}, err
	}
	build := exec.Command("go", args...)
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		return version{}, fmt.Errorf("build %s: %w\n%s", what, err, out)
	}
	return version{name: "before", dir: bin}, nil
})

// sourceBefore lays the files of the version before into a folder. A checkout
// without that commit plays this version against itself, unless a revision was
// asked for.
func sourceBefore(dir string) (source, what string, err error) {
	revision := os.Getenv(beforeVariable)
	asked := revision != ""
	if !asked {
		revision = beforeDefault
	}
	commit, err := commitOf(revision)
	switch {
	case err != nil && asked:
		return "", "", fmt.Errorf("%s=%s: %w", beforeVariable, revision, err)
	case err != nil:
		return repository, fmt.Sprintf("this version, against itself, since there is no %s here: %v", revision, err), nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", "", err
	}
	archive := exec.Command("git", "-C", repository, "archive", "--format=tar", commit)
	unpack := exec.Command("tar", "-x", "-C", dir)
	if unpack.Stdin, err = archive.StdoutPipe(); err != nil {
		return "", "", err
	}
	if err := unpack.Start(); err != nil {
		return "", "", err
	}
	if err := errors.Join(archive.Run(), unpack.Wait()); err != nil {
		return "", "", fmt.Errorf("unpack %s: %w", revision, err)
	}
	return dir, fmt.Sprintf("%s, which is %s", revision, commit), nil
}

// commitOf finds the commit of a revision in this repository, and not in one
// around a copy of its files.
func commitOf(revision string) (string, error) {
	up, err := git("rev-parse", "--show-cdup")
	if err != nil {
		return "", err
	}
	if up != "" {
		return "", errors.New("this is no git checkout, but a copy of its files")
	}
	commit, err := git("rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if err != nil {
		return "", errors.New("no such commit; a shallow clone has only the last (git fetch --unshallow brings the others)")
	}
	return commit, nil
}

func git(args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", repository}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git: %w %s", err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
