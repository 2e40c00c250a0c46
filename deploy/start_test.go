package deploy_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestStart starts each service as an operator does on one machine, with a
// program in its place that prints what it was given: settings that the service
// takes, with those of this machine last.
func TestStart(t *testing.T) {
	t.Parallel()
	local, binaries := t.TempDir(), t.TempDir()
	printer, err := exec.LookPath("env")
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range serviceNames {
		if err := os.Symlink(printer, filepath.Join(binaries, "parley-"+service)); err != nil {
			t.Fatal(err)
		}
		var own []string
		for name, value := range secrets(service) {
			own = append(own, name+"="+value)
		}
		file := service + ".env"
		if slices.Contains([]string{"dispatcher", "callback"}, service) {
			file = "shared.env" // they have no other secrets
		}
		write(t, filepath.Join(local, file), strings.Join(own, "\n"))
	}
	write(t, filepath.Join(local, "this.env"), "PARLEY_LOG_LEVEL=warn")
	for _, service := range serviceNames {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			start := exec.CommandContext(t.Context(), "./start", service, "8081", binaries)
			start.Env = []string{"PATH=" + os.Getenv("PATH"), "PARLEY_LOCAL=" + local}
			printed, err := start.Output()
			if err != nil {
				t.Fatal(err)
			}
			environment := map[string]string{}
			for line := range strings.Lines(string(printed)) {
				if name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "="); strings.HasPrefix(name, "PARLEY_") && name != "PARLEY_LOCAL" {
					environment[name] = value
				}
			}
			checkSettings(t, service, environment)
			for name, want := range map[string]string{
				"PARLEY_HTTP_ADDR": "127.0.0.1:8081", "PARLEY_NATS_CREDENTIALS": filepath.Join(local, "seeds", service+".nk"), "PARLEY_LOG_LEVEL": "warn",
			} {
				if environment[name] != want {
					t.Errorf("%s is %q, want %q", name, environment[name], want)
				}
			}
		})
	}
}

// TestStartSaysWhatItTakes runs it without arguments.
func TestStartSaysWhatItTakes(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "./start").CombinedOutput()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 2 || !strings.Contains(string(out), "deploy/start SERVICE PORT") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestStartSaysWhatIsMissing runs it with a service that does not exist, and
// before deploy/prepare and make build.
func TestStartSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	prepared := t.TempDir()
	write(t, filepath.Join(prepared, "shared.env"), "")
	for _, tt := range []struct{ service, local, want string }{
		{"frob", prepared, "frob is none of the services callback config dispatcher orchestrator"},
		{"config", t.TempDir(), "shared.env is missing; deploy/prepare makes it"},
		{"config", prepared, "parley-config is missing; make build makes it"},
	} {
		start := exec.CommandContext(t.Context(), "./start", tt.service, "8081", t.TempDir())
		start.Env = []string{"PATH=" + os.Getenv("PATH"), "PARLEY_LOCAL=" + tt.local}
		if out, err := start.CombinedOutput(); err == nil || !strings.Contains(string(out), tt.want) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: %v: %s", tt.want, err, out)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
