package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/orchestrator"
)

func TestMain(m *testing.M) { testbed.Main(m) }

func TestReconcileFindsTheDatabaseOfTheOrchestrator(t *testing.T) {
	t.Parallel()
	const usual = "postgres://h/orchestrator"
	for named, want := range map[string]string{
		"":                       usual,
		"postgres://h":           usual,
		"postgres://h/":          usual,
		"postgres://h/config":    usual, // that of another service
		"postgres://h/own?x=y":   "postgres://h/own?x=y",
		"postgres:///own?host=/": "postgres:///own?host=/",
	} {
		if got := ownDatabase(named, usual); got != want {
			t.Errorf("%q: %s, want %s", named, got, want)
		}
	}
}

func TestReconcileBeforeAnyServiceHasRun(t *testing.T) {
	t.Parallel()
	_, err := runReconcile(t, testbed.NATSServer(t).URL())
	if !errors.Is(err, errNoBucket) || !strings.Contains(err.Error(), topology.BucketRequests) {
		t.Errorf("ended with %v", err)
	}
}

func TestReconcileOfNothing(t *testing.T) {
	t.Parallel()
	server := testbed.NATSServer(t)
	_, js := testbed.Connect(t, server.URL())
	for _, ensure := range []error{
		topology.EnsureOrchestrator(t.Context(), js, topology.Options{}), topology.EnsureConfig(t.Context(), js, topology.Options{}),
	} {
		if ensure != nil {
			t.Fatal(ensure)
		}
	}
	out, err := runReconcile(t, server.URL())
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 3 || !strings.HasPrefix(out, "0 compared") {
		t.Errorf("printed:\n%s", out)
	}
}

func runReconcile(t *testing.T, nats string) (string, error) {
	t.Helper()
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = Run(context.WithoutCancel(t.Context()), []string{"reconcile"}, map[string]string{
		"PARLEY_NATS_URL": nats, "PARLEY_DATABASE_URL": testbed.Postgres(t), "PARLEY_ENCRYPTION_KEYS": keys,
		"PARLEY_LOG_LEVEL": "error", "PARLEY_DATA_DIR": t.TempDir(),
	}, &out)
	return out.String(), err
}

func TestReconciledIsReadable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := printReconciled(&out, orchestrator.Reconciled{Compared: 200, Restored: 12, Projected: 3, Failed: 1, Replayed: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"200 compared", "12 put back", "3 projected", "1 failed", "projected once more"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not said:\n%s", want, out.String())
		}
	}
}
