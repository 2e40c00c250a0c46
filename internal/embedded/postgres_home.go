package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// home is the folder of the cluster:
//
//	postgres/data          the cluster
//	postgres/run           the socket (elsewhere if the path is too long for one)
//	postgres/postgres.log  what the server says
//	postgres/parley.lock   held while a process uses it
type home struct {
	dir    string
	data   string
	socket string // folder of the socket
	owner  account
	bin    binaries
	logAt  int64 // size of the log when the server was started
}

const (
	logName = "postgres.log"
	// logAtMost is the size from which the log is begun anew at a start.
	logAtMost = 10 << 20
	// socketPathAtMost is what fits into the address of a unix socket on the
	// systems that allow least.
	socketPathAtMost = 103
	socketName       = ".s.PGSQL.5432"
	// leftoverWithin is how long a server that lost its parent may take to end.
	leftoverWithin = 20 * time.Second
)

// openHome makes the folder and settles whose it is.
func openHome(dir string) (home, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return home{}, fmt.Errorf("embedded: Postgres: %w", err)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	h := home{dir: filepath.Join(abs, "postgres")}
	h.data = filepath.Join(h.dir, "data")
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return home{}, fmt.Errorf("embedded: Postgres: %w", err)
	}
	if h.owner, err = accountFor(h.data); err != nil {
		return home{}, err
	}
	if err := h.owner.reach(h.dir); err != nil {
		return home{}, err
	}
	if err := h.owner.own(h.dir); err != nil {
		return home{}, err
	}
	return h, nil
}

// prepare leaves a cluster that can be started: it finds the programs, waits
// for a server that is still ending, and creates what is missing.
func (h *home) prepare(ctx context.Context, programs string) error {
	major, err := h.clusterVersion()
	if err != nil {
		return err
	}
	if h.bin, err = findBinaries(ctx, searched(programs), major); err != nil {
		return err
	}
	if err := h.clearLeftover(ctx); err != nil {
		return err
	}
	if major == 0 {
		if err := h.initialize(ctx); err != nil {
			return err
		}
	}
	return h.makeSocketDir()
}

// searched are the folders in which the programs are looked for.
func searched(programs string) []string {
	if programs != "" {
		return []string{programs}
	}
	return append(filepath.SplitList(os.Getenv("PATH")), installedIn()...)
}

// clusterVersion is the major version of the cluster, 0 if there is none.
func (h *home) clusterVersion() (int, error) {
	text, err := os.ReadFile(filepath.Join(h.data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("embedded: Postgres: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("embedded: Postgres: %s is not a cluster of version 10 or newer", h.data)
	}
	return major, nil
}

// initialize makes the cluster beside its place and moves it there when it is
// complete, so that a process that dies meanwhile leaves nothing half.
func (h *home) initialize(ctx context.Context) error {
	making := filepath.Join(h.dir, "data.new")
	if err := os.RemoveAll(making); err != nil {
		return fmt.Errorf("embedded: Postgres: %w", err)
	}
	if err := os.RemoveAll(h.data); err != nil { // without PG_VERSION it is no cluster
		return fmt.Errorf("embedded: Postgres: %w", err)
	}
	if err := h.run(ctx, "initdb", "--pgdata", making, "--username", superuser, "--encoding", "UTF8", "--no-locale",
		"--auth-local", "trust", "--auth-host", "reject"); err != nil {
		return err
	}
	if err := os.Rename(making, h.data); err != nil {
		return fmt.Errorf("embedded: Postgres: %w", err)
	}
	return nil
}

// clearLeftover waits until no server works in the data folder: one whose
// parent was killed a moment ago is still flushing. Then what it left to mark
// its presence is a lie, which could name the process id of somebody else now.
func (h *home) clearLeftover(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, leftoverWithin)
	defer cancel()
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		pid, known := workingIn(h.data)
		if !known {
			return nil // cannot look; Postgres decides by itself
		}
		if pid == 0 {
			break
		}
		select {
		case <-tick.C:
		case <-waiting.Done():
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w: %s (Postgres, process %d)", ErrDirInUse, h.data, pid)
		}
	}
	err := os.Remove(filepath.Join(h.data, "postmaster.pid"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("embedded: Postgres: %w", err)
	}
	return nil
}

// makeSocketDir makes an empty folder for the socket that only the owner enters.
func (h *home) makeSocketDir() error {
	h.socket = filepath.Join(h.dir, "run")
	removeAllQuietly(h.socket)
	if len(filepath.Join(h.socket, socketName)) <= socketPathAtMost {
		if err := os.Mkdir(h.socket, 0o700); err != nil {
			return fmt.Errorf("embedded: Postgres: %w", err)
		}
		return h.owner.own(h.socket)
	}
	base := os.TempDir()
	if len(base) > socketPathAtMost/2 {
		base = "/tmp"
	}
	var err error
	if h.socket, err = os.MkdirTemp(base, "parley-postgres-"); err != nil {
		return fmt.Errorf("embedded: Postgres: %w", err)
	}
	return h.owner.own(h.socket)
}

func (h *home) removeSocket() {
	if h.socket != "" {
		removeAllQuietly(h.socket)
	}
}

// openLog opens the log for a server about to start.
func (h *home) openLog() (*os.File, error) {
	path := filepath.Join(h.dir, logName)
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Size() > logAtMost {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o600) //nolint:gosec // below the data folder
	if err != nil {
		return nil, fmt.Errorf("embedded: Postgres: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("embedded: Postgres: %w", err)
	}
	h.logAt = info.Size()
	return f, nil
}

// tailLines is how much of the log an error shows.
const tailLines = 8

// logTail is the end of what the server said since it was started.
func (h *home) logTail() string {
	text, err := os.ReadFile(filepath.Join(h.dir, logName))
	if err != nil || int64(len(text)) <= h.logAt {
		return "it wrote no reason to " + filepath.Join(h.dir, logName)
	}
	return lastLines(string(text[h.logAt:]))
}

func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return strings.Join(lines, "; ")
}
