//go:build faults

package rounds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one that a round starts, breaks and starts again. Its output is
// kept over all its lives.
type process struct {
	name string
	path string
	env  []string
	addr string // of its HTTP edge, if it has one

	log    output
	cmd    *exec.Cmd
	exited chan struct{}
}

func (p *process) start() error {
	cmd, exited := exec.Command(p.path), make(chan struct{})
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, &p.log, &p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.exited = cmd, exited
	go func() {
		_ = cmd.Wait() // how it ends is seen by what it leaves
		close(exited)
	}()
	return nil
}

// kill kills the process and waits until it is gone.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}

// end asks the process to end and waits until it has.
func (p *process) end(ctx context.Context) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not end", p.name)
	}
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %s to %s: %w", s, p.name, err)
	}
	return nil
}

// awaitReady waits until the process says that it has what it needs.
func (p *process) awaitReady(ctx context.Context) error {
	last := ""
	err := until(ctx, func() bool {
		status, body := get(ctx, "http://"+p.addr+"/ready")
		last = body
		return status == http.StatusOK
	})
	if err != nil {
		return fmt.Errorf("%s is not ready: %s\n%s", p.name, last, p.log.tail())
	}
	return nil
}

func get(ctx context.Context, url string) (status int, body string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp.StatusCode, string(text)
}

// until looks until it is so.
func until(ctx context.Context, look func() bool) error {
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for !look() {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

var errTooLong = errors.New("it takes too long")

// output is what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) tail() string {
	lines := strings.Split(strings.TrimSpace(o.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
