package stage

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/dispatcher"
)

// The roles in which a program starts itself again.
const (
	roleVariable   = "PARLEY_BENCH_ROLE"
	roleNATS       = "nats"
	roleReceiver   = "receiver"
	roleDispatcher = "dispatcher"
)

// Role runs the role that the environment asks for, if it asks for one. Call it
// first in main.
func Role(ctx context.Context, environ map[string]string) (ran bool, err error) {
	switch environ[roleVariable] {
	case roleNATS:
		return true, runNATS(ctx, environ)
	case roleReceiver:
		return true, runReceiver(ctx, environ)
	case roleDispatcher:
		return true, runDispatcher(ctx, environ)
	}
	return false, nil
}

func runNATS(ctx context.Context, environ map[string]string) error {
	server, err := embedded.StartNATS(ctx, embedded.NATSOptions{
		Dir: environ["BENCH_DIR"], Addr: environ["BENCH_ADDR"], Sync: environ["BENCH_SYNC"],
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	defer server.Close()
	return tell(ctx, server.URL())
}

func runReceiver(ctx context.Context, environ map[string]string) error {
	server := httptest.NewUnstartedServer(newReceiver())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(environ["BENCH_ROOT"], root, 0o600); err != nil {
		return err
	}
	// The connections of those that hang are cut with the process.
	return tell(ctx, server.URL)
}

// tell says the address, then takes a profile whenever it is asked for one, and
// waits for the end.
func tell(ctx context.Context, url string) error {
	if err := json.NewEncoder(os.Stdout).Encode(url); err != nil {
		return err
	}
	go profileOnDemand(os.Stdin, os.Stdout)
	<-ctx.Done()
	return nil
}

// profileOnDemand begins a CPU profile with every line that names a file, and
// ends it with the next line that is empty. Each line is answered by an empty
// one.
func profileOnDemand(in io.Reader, out io.Writer) {
	lines := bufio.NewScanner(in)
	var file *os.File
	for lines.Scan() {
		if name := lines.Text(); name != "" {
			var err error
			if file, err = os.Create(name); err == nil { //nolint:gosec // the path is of who measures
				_ = pprof.StartCPUProfile(file)
			}
		} else {
			pprof.StopCPUProfile()
			_ = file.Close()
		}
		_, _ = fmt.Fprintln(out)
	}
}

func runDispatcher(ctx context.Context, environ map[string]string) error {
	settings, err := process.Load[dispatcher.Settings](environ)
	if err != nil {
		return err
	}
	deps, closing, err := process.NewDeps(ctx, "dispatcher", settings.Settings)
	if err != nil {
		return err
	}
	defer closing()
	return dispatcher.Run(ctx, settings, deps)
}

// Child is a process of the benchmark.
type Child struct {
	cmd *exec.Cmd
	url string
	// What a child that says its address is asked, and answers.
	in  io.Writer
	out *bufio.Reader
}

// start starts this program in a role. It waits for the address, where the role
// has one.
func start(role string, says bool, environ ...string) (*Child, error) {
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
	c := &Child{cmd: cmd, in: in, out: bufio.NewReader(out)}
	if !says {
		return c, nil
	}
	line, err := c.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c.url)
	}
	if err != nil {
		c.Kill()
		return nil, fmt.Errorf("%s did not start: %w", role, err)
	}
	return c, nil
}

// Stop asks the process to end, and waits until it has.
func (c *Child) Stop() {
	if c == nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(30*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	_ = c.cmd.Wait()
}

// Kill ends the process at once.
func (c *Child) Kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// profile begins a CPU profile of the process, in a file; "" ends it.
func (c *Child) profile(file string) error {
	if _, err := fmt.Fprintln(c.in, file); err != nil {
		return err
	}
	_, err := c.out.ReadString('\n')
	return err
}

// memory is how much of the process is in memory, in bytes; 0 where the system
// does not tell.
func (c *Child) memory() int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(data), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
