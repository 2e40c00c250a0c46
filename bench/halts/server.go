package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/parley-dsr/parley/internal/embedded"
)

// roleVariable, where it is set, makes this program the NATS server.
const roleVariable = "PARLEY_BENCH_ROLE"

// role plays the NATS server, if the environment asks for it: it says where it
// listens, and then what it has in memory whenever it is asked.
func role(ctx context.Context, environ map[string]string) (ran bool, err error) {
	if environ[roleVariable] != "nats" {
		return false, nil
	}
	server, err := embedded.StartNATS(ctx, embedded.NATSOptions{
		Dir: environ["BENCH_DIR"], Addr: environ["BENCH_ADDR"], Sync: environ["BENCH_SYNC"],
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return true, err
	}
	defer server.Close()
	if err := json.NewEncoder(os.Stdout).Encode(server.URL()); err != nil {
		return true, err
	}
	go tellMemory(os.Stdin, os.Stdout)
	<-ctx.Done()
	return true, nil
}

// tellMemory answers each line with the bytes that are in use once the garbage
// is collected and given back.
func tellMemory(asked io.Reader, out io.Writer) {
	for lines := bufio.NewScanner(asked); lines.Scan(); {
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if json.NewEncoder(out).Encode(m.HeapAlloc) != nil {
			return
		}
	}
}

// server is a NATS server in a process of its own.
type server struct {
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
	url string
}

// startServer starts a server over a store, and waits until it listens.
func startServer(dir, addr, sync string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self) //nolint:gosec,noctx // it is this program, and it ends by stop
	cmd.Env = append(os.Environ(), roleVariable+"=nats", "BENCH_DIR="+dir, "BENCH_ADDR="+addr, "BENCH_SYNC="+sync)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, in: in, out: bufio.NewReader(out)}
	if err := s.hear(&s.url); err != nil {
		s.stop()
		return nil, fmt.Errorf("NATS did not start: %w", err)
	}
	return s, nil
}

func (s *server) hear(into any) error {
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, into)
}

// stop ends the server, and waits until it has.
func (s *server) stop() {
	if s == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(time.Minute, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	_ = s.cmd.Wait()
}

// memory is what the process has: live is in use once its garbage is collected,
// resident is what the system counts then, 0 where it does not tell.
func (s *server) memory() (live, resident int64, err error) {
	if _, err := io.WriteString(s.in, "\n"); err != nil {
		return 0, 0, err
	}
	if err := s.hear(&live); err != nil {
		return 0, 0, err
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return live, 0, nil //nolint:nilerr // not every system tells
	}
	var total, pages int64
	if _, err := fmt.Sscan(string(data), &total, &pages); err != nil {
		return live, 0, nil //nolint:nilerr // as above
	}
	return live, pages * int64(os.Getpagesize()), nil
}
