package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for anything before it gives up. Nothing is
// measured by it.
const patience = 2 * time.Minute

// child is a process of the test, with its output kept.
type child struct {
	t      testing.TB
	name   string
	path   string
	args   []string
	env    []string
	addr   string // of its HTTP edge, if it has one
	log    *logFile
	cmd    *exec.Cmd
	exited chan struct{}
	err    error
}

// start starts the process; it is killed when the test ends.
func (c *child) start() {
	c.t.Helper()
	c.cmd = exec.Command(c.path, c.args...)
	c.cmd.Env = c.env
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatalf("start %s: %v", c.name, err)
	}
	exited := make(chan struct{})
	c.exited = exited
	go func() {
		c.err = c.cmd.Wait()
		close(exited)
	}()
	cmd := c.cmd
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-exited
	})
}

// signal sends a signal and waits for the end.
func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatalf("signal %s: %v", c.name, err)
	}
	c.wait()
}

// wait waits for the end of the process and returns how it ended.
func (c *child) wait() error {
	c.t.Helper()
	select {
	case <-c.exited:
		return c.err
	case <-time.After(patience):
		c.t.Fatalf("%s does not end", c.name)
		return nil
	}
}

// awaitUp waits until the process answers on its address.
func (c *child) awaitUp() { c.await("/health") }

// awaitReady waits until the process says that it has what it needs.
func (c *child) awaitReady() { c.await("/ready") }

func (c *child) await(path string) {
	c.t.Helper()
	last := ""
	eventually(c.t, func() (bool, string) {
		select {
		case <-c.exited:
			c.t.Fatalf("%s has ended: %v\n%s", c.name, c.err, c.log.tail())
		default:
		}
		status, body := get(c.addr, path)
		last = body
		return status == http.StatusOK, fmt.Sprintf("%s%s: %s", c.name, path, last)
	})
}

func get(addr, path string) (int, string) {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get("http://" + addr + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp.StatusCode, string(body)
}

// eventually looks until it is so.
func eventually(t testing.TB, look func() (bool, string)) {
	t.Helper()
	within(t, patience, look)
}

func within(t testing.TB, limit time.Duration, look func() (bool, string)) {
	t.Helper()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		ok, why := look()
		if ok {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("not within %s: %s", limit, why)
		case <-pause.C:
		}
	}
}

// logFile keeps what a process writes, in a file that is shown if the test
// fails.
type logFile struct {
	mu   sync.Mutex
	path string
	text bytes.Buffer
}

func newLog(t testing.TB, dir, name string) *logFile {
	l := &logFile{path: filepath.Join(dir, name+".log")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", name, l.tail())
		}
	})
	return l
}

// Write implements io.Writer.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logFile) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

func (l *logFile) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logFile) tail() string {
	lines := strings.Split(strings.TrimSpace(l.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
