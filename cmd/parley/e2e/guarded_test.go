package e2e

import (
	"bytes"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
)

// shippedNATS is the configuration that operators take.
const shippedNATS = "../../../deploy/nats/single.conf"

// shippedUsers are the users of the shipped accounts.conf beside the services.
var shippedUsers = []string{"--executor", "access", "--executor", "erasure", "--executor", "consent", "--observer", "audit"}

// guarded is a house whose NATS has TLS and a user with the least permissions
// for each process.
type guarded struct {
	*house
	seeds string // folder with the seed of each user
	ca    string
}

// setupGuarded builds the house around the four services, which are not
// started, with the configuration of NATS in a file.
func setupGuarded(t *testing.T, config string, users []string, settings map[string]string) *guarded {
	t.Helper()
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{
		t: t, dir: t.TempDir(), keys: keys, secret: rootSecret, services: map[string]*child{},
		database: map[string]string{"config": testbed.Postgres(t), "orchestrator": testbed.Postgres(t)},
	}
	h.startProxy()
	g := guard(t, h, config, users)
	all := g.settings()
	maps.Copy(all, settings)
	for _, name := range serviceNames {
		h.services[name] = h.service(name, all)
	}
	return g
}

// guard starts the receiver, whose certificates NATS shares, and NATS.
func guard(t *testing.T, h *house, config string, users []string) *guarded {
	t.Helper()
	g := &guarded{house: h, seeds: filepath.Join(h.dir, "seeds"), ca: filepath.Join(h.dir, "receiver", "ca.pem")}
	var err error
	h.receiver, err = receiver.Start(receiver.Options{Dir: filepath.Join(h.dir, "receiver"), Origin: h.origin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.receiver.Close() })
	addr := testbed.FreeAddr(t)
	h.natsURL, h.natsDir = "tls://"+addr, filepath.Join(h.dir, "nats")
	env := map[string]string{
		natsConfigVariable: config, natsAddrVariable: addr,
		"PARLEY_NATS_NAME": "guarded", "PARLEY_NATS_STORE": h.natsDir,
		"PARLEY_NATS_TLS_CERT": filepath.Join(h.dir, "receiver", "receiver.pem"),
		"PARLEY_NATS_TLS_KEY":  filepath.Join(h.dir, "receiver", "receiver-key.pem"),
		"PARLEY_NATS_TLS_CA":   g.ca,
	}
	printed := g.parley(append([]string{"nats", "keys", "--dir", g.seeds}, users...)...)
	for line := range strings.Lines(printed) {
		name, key, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[name] = key
	}
	h.nats = &child{t: t, name: "nats", path: os.Args[0], log: newLog(t, h.dir, "nats"), env: testbed.Environ(env)}
	h.nats.start()
	return g
}

// settings are those by which a process finds NATS, as its own user.
func (g *guarded) settings() map[string]string {
	return map[string]string{
		"PARLEY_NATS_URL": g.natsURL, "PARLEY_NATS_CREDENTIALS": g.seeds, "PARLEY_NATS_CA_FILE": g.ca,
	}
}

// parley runs the command line and gives what it prints.
func (g *guarded) parley(args ...string) string {
	g.t.Helper()
	all := g.settings()
	all["PARLEY_ENCRYPTION_KEYS"], all["PARLEY_EXECUTION"] = g.keys, "immediate"
	all["PARLEY_URL"], all["PARLEY_CLIENT_ID"], all["PARLEY_CLIENT_SECRET"] = g.origin, rootID, g.secret
	if len(args) > 0 && args[0] == "reconcile" {
		all["PARLEY_DATABASE_URL"] = g.database["orchestrator"]
	}
	cmd := exec.CommandContext(g.t.Context(), binary(g.t, "parley"), args...)
	cmd.Env = testbed.Environ(all)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		g.t.Fatalf("parley %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), said.String())
	}
	return out.String()
}

// as connects as a user, in the way that the services do.
func (g *guarded) as(t *testing.T, user string, log io.Writer, more ...nats.Option) *nats.Conn {
	t.Helper()
	s := process.Settings{NATSURL: g.natsURL, NATSCredentials: filepath.Join(g.seeds, user+".nk"), NATSCAFile: g.ca}
	nc, err := process.Connect(t.Context(), s, user, slog.New(slog.NewTextHandler(log, nil)), more...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if err := process.AwaitNATS(t.Context(), nc, nil); err != nil {
		t.Fatal(err)
	}
	return nc
}

// violations are the lines in which the server refused something.
func (g *guarded) violations() []string {
	var lines []string
	for line := range strings.Lines(g.nats.log.String()) {
		if strings.Contains(line, "Violation") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
