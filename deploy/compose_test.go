package deploy_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// project loads the Compose file as docker compose does, in a copy of this
// folder that has been prepared.
func project(t *testing.T) *types.Project {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "deploy")
	for from, to := range map[string]string{".": dir, os.Getenv("TEST_LOCAL"): filepath.Join(dir, "local")} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	o, err := cli.NewProjectOptions([]string{filepath.Join(dir, "compose.yaml")}, cli.WithWorkingDirectory(dir))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCompose(t *testing.T) {
	t.Parallel()
	p := project(t)
	want := []string{"callback", "config", "dispatcher", "nats", "orchestrator", "postgres", "proxy"}
	if got := slices.Sorted(maps.Keys(p.Services)); !slices.Equal(got, want) {
		t.Errorf("services %v", got)
	}
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		for _, port := range s.Ports {
			if name != "proxy" || port.HostIP != "127.0.0.1" {
				t.Errorf("%s can be reached at %v", name, port)
			}
		}
	}
	for _, name := range serviceNames {
		s := p.Services[name]
		if s.Build == nil || s.Build.Args["SERVICE"] == nil || *s.Build.Args["SERVICE"] != name {
			t.Errorf("%s is built by %v", name, s.Build)
		}
		if _, err := os.Stat("Dockerfile"); err != nil || s.Build.Dockerfile != "deploy/Dockerfile" {
			t.Errorf("%s is built by %s", name, s.Build.Dockerfile)
		}
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") {
			t.Errorf("%s: read only %t, dropped %v", name, s.ReadOnly, s.CapDrop)
		}
		environment := map[string]string{}
		for name, value := range s.Environment {
			environment[name] = *value
		}
		checkSettings(t, name, environment)
		checkFiles(t, name, environment, s.Volumes)
	}
}

// checkFiles checks that a container has the files that its settings name, and
// the seed of no other user.
func checkFiles(t *testing.T, name string, environment map[string]string, volumes []types.ServiceVolumeConfig) {
	t.Helper()
	var targets []string
	for _, v := range volumes {
		targets = append(targets, v.Target)
		if strings.HasSuffix(v.Source, ".nk") && filepath.Base(v.Source) != name+".nk" {
			t.Errorf("%s has %s", name, v.Source)
		}
	}
	for _, variable := range []string{"PARLEY_NATS_CREDENTIALS", "PARLEY_NATS_CA_FILE"} {
		if !slices.Contains(targets, environment[variable]) {
			t.Errorf("%s: %s is not mounted: %v", name, variable, targets)
		}
	}
}

// Only the dispatcher is in a network from where it can call out; the proxy is
// in one from where it can be reached.
func TestComposeNetworks(t *testing.T) {
	t.Parallel()
	p := project(t)
	for name, s := range p.Services {
		for network := range s.Networks {
			open := !p.Networks[network].Internal
			if wants := name == "dispatcher" && network == "outside" || name == "proxy" && network == "origin"; open != wants {
				t.Errorf("%s is in %s, which is open: %t", name, network, open)
			}
		}
	}
	trusted := p.Services["callback"].Environment["PARLEY_TRUSTED_PROXIES"]
	if trusted == nil || *trusted != p.Networks["edge"].Ipam.Config[0].Subnet {
		t.Errorf("the edges believe %v", trusted)
	}
}
