package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func runNATS(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := Run(t.Context(), append([]string{"nats"}, args...), nil, &out)
	return out.String(), err
}

// Keys are made once; what is printed has no seed, and no file is for others.
func TestNATSKeys(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "seeds")
	first, err := runNATS(t, "keys", "--dir", dir, "--observer", "audit")
	if err != nil {
		t.Fatal(err)
	}
	again, err := runNATS(t, "keys", "--dir", dir, "--observer", "audit", "--executor", "erasure")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(first) {
		if !strings.Contains(again, line) {
			t.Errorf("another key in place of %s", line)
		}
	}
	if strings.Count(first, "\n") != 6 || strings.Count(again, "\n") != 7 || !strings.Contains(again, "PARLEY_NATS_NKEY_EXECUTOR_ERASURE=U") {
		t.Errorf("printed\n%s\nand then\n%s", first, again)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		seed, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 || !bytes.HasPrefix(seed, []byte("SU")) || strings.Contains(again, strings.TrimSpace(string(seed))) {
			t.Errorf("%s: %s, or its seed is printed", file.Name(), info.Mode())
		}
	}
}

func TestNATSKeysOverSomethingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "config.nk")
	if err := os.WriteFile(path, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := runNATS(t, "keys", "--dir", dir)
	if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "s3cret" {
		t.Errorf("the file has %q now: %v", text, err)
	}
}

func TestNATSAccounts(t *testing.T) {
	t.Parallel()
	text, err := runNATS(t, "accounts", "--observer", "audit", "--observer", "billing")
	if err != nil || !strings.Contains(text, "$PARLEY_NATS_NKEY_OBSERVER_BILLING") || strings.Contains(text, "EXECUTOR") {
		t.Errorf("%v\n%s", err, text)
	}
	if _, err := runNATS(t, "accounts", "--observer", "a.b"); err == nil || !strings.Contains(err.Error(), "letters, digits") {
		t.Errorf("error %v", err)
	}
	if _, err := runNATS(t, "keys"); err == nil || !strings.Contains(err.Error(), "--dir") {
		t.Errorf("error %v", err)
	}
}
