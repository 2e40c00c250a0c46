// Package child runs the parts of a benchmark as processes of their own: the
// program starts itself again in a role. What the parts use can then be told
// apart, and none shares memory or a scheduler with what is measured.
package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

const roleVariable = "PARLEY_BENCH_ROLE"

// Role is what a child does until ctx ends. One that has an address tells it
// with Tell.
type Role func(ctx context.Context, environ map[string]string) error

// Play plays the role that the environment asks for, if it asks for one. Call
// it first in main.
func Play(ctx context.Context, environ map[string]string, roles map[string]Role) (played bool, err error) {
	role, ok := roles[environ[roleVariable]]
	if !ok {
		return false, nil
	}
	return true, role(ctx, environ)
}

// Tell says an address to who started this process, and does what it asks for
// from then on: profiles, and collecting garbage.
func Tell(url string) error {
	if err := json.NewEncoder(os.Stdout).Encode(url); err != nil {
		return err
	}
	go obey(os.Stdin, os.Stdout)
	return nil
}

// collect is the line that asks for a collection; any other is the prefix of a
// profile, which the next empty one ends.
const collect = "collect"

// obey does what lines ask for, and answers each by one that is empty, or says
// what went wrong.
func obey(in io.Reader, out io.Writer) {
	lines := bufio.NewScanner(in)
	none := func() error { return nil }
	end := none
	for lines.Scan() {
		var err error
		switch line := lines.Text(); line {
		case collect:
			debug.FreeOSMemory()
		case "":
			err = end()
			end = none
		default:
			if end, err = Profile(line); err != nil {
				end = none
			}
		}
		_, _ = fmt.Fprintln(out, errorText(err))
	}
}

// Child is a process of the benchmark.
type Child struct {
	// URL is what the child has told.
	URL string

	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

// Start starts this program in a role, and waits for its address.
func Start(role string, environ ...string) (*Child, error) {
	c, err := Run(role, environ...)
	if err != nil {
		return nil, err
	}
	line, err := c.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c.URL)
	}
	if err != nil {
		c.Kill()
		return nil, fmt.Errorf("%s did not start: %w", role, err)
	}
	return c, nil
}

// Run starts this program in a role that tells no address.
func Run(role string, environ ...string) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self) //nolint:gosec,noctx // it is this program, and it ends by Stop or Kill
	cmd.Env = append(os.Environ(), append(environ, roleVariable+"="+role)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &Child{cmd: cmd, in: in, out: bufio.NewReader(out)}, nil
}

// Kill ends the process at once.
func (c *Child) Kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// Stop asks the process to end, and waits until it has.
func (c *Child) Stop() {
	if c == nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(time.Minute, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	_ = c.cmd.Wait()
}

// Profile begins a profile of the process; see the function. "" ends it.
func (c *Child) Profile(prefix string) error { return c.ask(prefix) }

// Collect has the process collect its garbage and give the memory back.
func (c *Child) Collect() error { return c.ask(collect) }

func (c *Child) ask(line string) error {
	if _, err := fmt.Fprintln(c.in, line); err != nil {
		return err
	}
	answer, err := c.out.ReadString('\n')
	if text := strings.TrimSpace(answer); err == nil && text != "" {
		return errors.New(text)
	}
	return err
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// PID of the process.
func (c *Child) PID() int { return c.cmd.Process.Pid }
