package process_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/parley-dsr/parley/internal/process"
)

// A seed is taken as it is, or from a folder with the seed of each user; an
// error about it shows nothing of it.
func TestConnectWithASeed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	notOfAUser, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public := map[string]string{}
	for _, name := range []string{"test", "other"} {
		user, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		seed, err := user.Seed()
		if err != nil {
			t.Fatal(err)
		}
		write(name+".nk", fmt.Appendf(nil, "%s\n", seed))
		if public[name], err = user.PublicKey(); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct{ path, service, nkey, problem string }{
		"a seed":            {path: filepath.Join(dir, "other.nk"), service: "test", nkey: public["other"]},
		"a folder":          {path: dir, service: "test", nkey: public["test"]},
		"another's":         {path: dir, service: "other", nkey: public["other"]},
		"nobody's":          {path: dir, service: "absent", problem: "takes the path of a readable file"},
		"no seed":           {path: write("text", []byte("s3cret")), service: "test", problem: "takes the path of a NATS credentials file, of a seed"},
		"not that of users": {path: write("account", notOfAUser), service: "test", problem: "takes the path of a NATS credentials file, of a seed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := process.Settings{NATSURL: "nats://127.0.0.1:1", NATSCredentials: tt.path}
			nc, err := process.Connect(t.Context(), s, tt.service, slog.New(slog.DiscardHandler))
			if tt.problem != "" {
				if err == nil || !strings.HasPrefix(err.Error(), "PARLEY_NATS_CREDENTIALS "+tt.problem) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			if nc.Opts.Nkey != tt.nkey || !strings.HasPrefix(nc.NewInbox(), "_INBOX_"+tt.service+".") {
				t.Errorf("connects with %s, inboxes such as %s", nc.Opts.Nkey, nc.NewInbox())
			}
		})
	}
}
