package cli

import (
	"strings"
	"testing"

	"github.com/parley-dsr/parley/cmd/parley/internal/allinone"
)

// TestServeHelp: it lists its settings, and says where the others are listed.
func TestServeHelp(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := Run(t.Context(), []string{"serve", "--help"}, nil, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"parley-orchestrator", "theirs with --help", "PARLEY_DATA_DIR"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %s", want, out.String())
		}
	}
}

// TestBanner: the secret is shown once, and each later start says where it is.
func TestBanner(t *testing.T) {
	t.Parallel()
	const secret, file = "a-secret", ".parley/credentials.json"
	for name, tt := range map[string]struct {
		info        allinone.Info
		want        string
		showsSecret bool
	}{
		"first":   {allinone.Info{Generated: true}, "kept, with the encryption key, in\n" + file, true},
		"later":   {allinone.Info{}, "its secret   is in " + file, false},
		"setting": {allinone.Info{Given: true}, "its secret   that of PARLEY_ROOT_CLIENT_SECRET", false},
	} {
		tt.info.RootClientSecret, tt.info.CredentialsFile = secret, file
		var out strings.Builder
		banner(&out, tt.info)
		if got := out.String(); !strings.Contains(got, tt.want) || strings.Contains(got, secret) != tt.showsSecret {
			t.Errorf("%s: %s", name, got)
		}
	}
}
