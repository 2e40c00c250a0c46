package deploy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func TestDockerfile(t *testing.T) {
	t.Parallel()
	file, err := os.Open("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	parsed, err := parser.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Warnings) > 0 {
		t.Errorf("%v", parsed.Warnings)
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(stages) != 2 {
		t.Fatalf("%d stages", len(stages))
	}
	checkBuild(t, stages[0])
	checkImage(t, stages[1])
}

// checkBuild checks that the binary is static and built from its module alone,
// for every service that is named.
func checkBuild(t *testing.T, stage instructions.Stage) {
	t.Helper()
	environment, run := map[string]string{}, ""
	var arguments []string
	for _, command := range stage.Commands {
		switch c := command.(type) {
		case *instructions.ArgCommand:
			for _, a := range c.Args {
				arguments = append(arguments, a.Key)
			}
		case *instructions.EnvCommand:
			for _, e := range c.Env {
				environment[e.Key] = e.Value
			}
		case *instructions.RunCommand:
			run += strings.Join(c.CmdLine, " ")
		}
	}
	if !slices.Contains(arguments, "SERVICE") {
		t.Errorf("arguments %v", arguments)
	}
	if environment["CGO_ENABLED"] != "0" || environment["GOWORK"] != "off" {
		t.Errorf("environment %v", environment)
	}
	for _, service := range serviceNames {
		if !strings.Contains(run, service) {
			t.Errorf("%s cannot be built: %s", service, run)
		}
		if _, err := os.Stat(filepath.Join("..", "services", service, "cmd", "parley-"+service, "main.go")); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(run, `cd "services/${SERVICE}"`) || !strings.Contains(run, "./cmd/parley-${SERVICE}") {
		t.Errorf("builds something else: %s", run)
	}
}

// checkImage checks that the image has the binary alone, and is not run as root.
func checkImage(t *testing.T, stage instructions.Stage) {
	t.Helper()
	if !strings.HasPrefix(stage.BaseName, "gcr.io/distroless/static") {
		t.Errorf("made from %s", stage.BaseName)
	}
	user, copied := "", 0
	for _, command := range stage.Commands {
		switch c := command.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.CopyCommand:
			copied++
			if c.From != "build" {
				t.Errorf("copies from %q", c.From)
			}
		case *instructions.EntrypointCommand:
			if c.PrependShell || !slices.Equal(c.CmdLine, []string{"/parley"}) {
				t.Errorf("starts %v by a shell: %t", c.CmdLine, c.PrependShell)
			}
		}
	}
	if user != "65532:65532" || copied != 1 {
		t.Errorf("user %q, %d copies", user, copied)
	}
}
