package deploy_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/callback"
	"github.com/parley-dsr/parley/services/config"
	"github.com/parley-dsr/parley/services/dispatcher"
	"github.com/parley-dsr/parley/services/orchestrator"
)

// secrets are what a service needs and no example has.
func secrets(service string) map[string]string {
	all := map[string]string{"PARLEY_ENCRYPTION_KEYS": "k1:" + strings.Repeat("A", 43) + "="}
	switch service {
	case "config":
		all["PARLEY_ROOT_CLIENT_SECRET"], all["PARLEY_DATABASE_URL"] = "secret", "postgres://config@postgres/config"
	case "orchestrator":
		all["PARLEY_DATABASE_URL"] = "postgres://orchestrator@postgres/orchestrator"
	}
	return all
}

// checkSettings loads an environment as the binary of the service does, and
// knows every variable in it.
func checkSettings(t *testing.T, service string, environment map[string]string) {
	t.Helper()
	var err error
	var known bytes.Buffer
	switch service {
	case "config":
		_, err = process.Load[config.Settings](environment)
		process.PrintSettings[config.Settings](&known)
	case "orchestrator":
		_, err = process.Load[orchestrator.Settings](environment)
		process.PrintSettings[orchestrator.Settings](&known)
	case "dispatcher":
		_, err = process.Load[dispatcher.Settings](environment)
		process.PrintSettings[dispatcher.Settings](&known)
	case "callback":
		_, err = process.Load[callback.Settings](environment)
		process.PrintSettings[callback.Settings](&known)
	default:
		t.Fatalf("no service %s", service)
	}
	if err != nil {
		t.Errorf("%s: %v", service, err)
	}
	for name := range environment {
		if !slices.Contains(strings.Fields(known.String()), name) {
			t.Errorf("%s does not know %s", service, name)
		}
	}
}

func TestEnvironmentExamples(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir("env")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(serviceNames) {
		t.Errorf("%d examples", len(files))
	}
	for _, service := range serviceNames {
		environment, err := dotenv.ReadFile("env/"+service+".env", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range secrets(service) {
			if _, shipped := environment[name]; shipped {
				t.Errorf("%s: the example has %s", service, name)
			}
			environment[name] = value
		}
		checkSettings(t, service, environment)
	}
}
