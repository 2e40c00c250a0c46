package embedded

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// child is a process of ours that ends when we end.
type child struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of Wait, once exited is closed
	asked  atomic.Bool
}

// How long a server may take to end: sessions are cut off at once, a checkpoint
// of a busy cluster takes seconds. Then it is told to drop everything (the log
// recovers it), then it is killed.
const (
	fastWithin      = 12 * time.Second
	immediateWithin = 3 * time.Second
)

// startChild starts a process. The kernel signals it when the thread that
// started it ends, so that thread is kept for it.
func startChild(cmd *exec.Cmd) (*child, error) {
	c := &child{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		close(c.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

func (c *child) stopping() bool { return c.asked.Load() }

// stop ends the server in the gentlest way that works and waits for it. The
// error says that the gentle way did not.
func (c *child) stop() error {
	c.asked.Store(true)
	for _, step := range []struct {
		signal syscall.Signal
		within time.Duration
	}{{syscall.SIGINT, fastWithin}, {syscall.SIGQUIT, immediateWithin}} {
		_ = c.cmd.Process.Signal(step.signal) // it may have ended already
		if c.ended(step.within) {
			if step.signal == syscall.SIGINT {
				return nil
			}
			return fmt.Errorf("embedded: Postgres did not stop within %s and recovers at its next start", fastWithin)
		}
	}
	_ = c.cmd.Process.Kill()
	<-c.exited
	return fmt.Errorf("embedded: Postgres did not stop within %s, was killed, and recovers at its next start", fastWithin+immediateWithin)
}

func (c *child) ended(within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-c.exited:
		return true
	case <-timer.C:
		return false
	}
}

// command prepares one of the programs: as the owner of the cluster, away from
// the terminal's process group (an interrupt from the keyboard is for us, and
// we stop Postgres when nobody needs it any more), and with an environment that
// holds none of our secrets.
func (h *home) command(program string, args ...string) *exec.Cmd {
	//nolint:gosec,noctx // a program of the installed server, which outlives the context of its start
	cmd := exec.Command(h.bin.path(program), args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + h.bin.dir + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = h.owner.attr()
	return cmd
}

// run runs a program to its end. What it said is in the error.
func (h *home) run(ctx context.Context, program string, args ...string) error {
	var said bytes.Buffer
	cmd := h.command(program, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	c, err := startChild(cmd)
	if err != nil {
		return fmt.Errorf("embedded: Postgres: %s: %w", program, err)
	}
	select {
	case <-c.exited:
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		<-c.exited
		return fmt.Errorf("embedded: Postgres: %s: %w", program, context.Cause(ctx))
	}
	if c.err != nil {
		return fmt.Errorf("embedded: Postgres: %s: %w: %s", program, c.err, lastLines(said.String()))
	}
	return nil
}

// launch starts the server. Its log has no statements and no details of rows,
// which could be personal.
func (h *home) launch(fast bool) (*child, error) {
	settings := []string{
		"listen_addresses=",
		"port=5432",
		"unix_socket_directories=" + quoteList(h.socket),
		"unix_socket_permissions=0700",
		"max_connections=200",
		"log_min_error_statement=panic",
		"log_error_verbosity=terse",
		"log_parameter_max_length=0",
		"log_parameter_max_length_on_error=0",
	}
	if fast {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	args := []string{"-D", h.data}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	log, err := h.openLog()
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own
	cmd := h.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	c, err := startChild(cmd)
	if err != nil {
		return nil, fmt.Errorf("embedded: Postgres: %w", err)
	}
	return c, nil
}

// quoteList quotes a path for a setting that takes a list.
func quoteList(path string) string { return `"` + strings.ReplaceAll(path, `"`, `""`) + `"` }
