package house

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestHouseIsInOrder(t *testing.T) {
	t.Parallel()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	graph, err := readGraph(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(graph) < 20 {
		t.Fatalf("only %d packages found below %s", len(graph), root)
	}
	for _, v := range violations(graph) {
		t.Error(v)
	}
}

// TestDomainPackagesExist keeps the list honest when a package moves.
func TestDomainPackagesExist(t *testing.T) {
	t.Parallel()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range domain() {
		if files, _ := filepath.Glob(filepath.Join(root, path, "*.go")); len(files) == 0 {
			t.Errorf("%s has no Go files", path)
		}
	}
}

func TestBreachesAreFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pkg  pkg
		want string // part of the only violation; empty: none
	}{
		"events uses the plumbing":          {pkg{path: "pkg/events", imports: []string{prefix + "internal/record"}}, "only pkg/events"},
		"events' test uses the server":      {pkg{path: "pkg/events", testImports: []string{"github.com/nats-io/nats-server/v2/server"}}, "users would get the server"},
		"an example uses the plumbing":      {pkg{path: "examples/executor", imports: []string{prefix + "internal/vault"}}, "only pkg/events"},
		"events uses itself":                {pkg{path: "pkg/events/kind", imports: []string{prefix + "pkg/events"}}, ""},
		"plumbing uses a service":           {pkg{path: "internal/edge", testImports: []string{prefix + "services/config"}}, "below the services"},
		"plumbing uses events":              {pkg{path: "internal/edge", imports: []string{prefix + "pkg/events"}}, ""},
		"a service uses another":            {pkg{path: "services/config/internal/rest", imports: []string{prefix + "services/callback/api"}}, "services speak through events"},
		"a service's test uses another":     {pkg{path: "services/config", testImports: []string{prefix + "services/callback"}}, "services speak through events"},
		"a service with a longer name":      {pkg{path: "services/config", imports: []string{prefix + "services/configurator"}}, "services speak through events"},
		"a service uses itself":             {pkg{path: "services/config", imports: []string{prefix + "services/config/internal/store"}}, ""},
		"a service uses the command":        {pkg{path: "services/config", testImports: []string{prefix + "cmd/parley/internal/receiver"}}, "plumbing and pkg/events only"},
		"a service embeds":                  {pkg{path: "services/config", imports: []string{prefix + "internal/embedded"}}, "only cmd/parley embeds"},
		"a service's test embeds":           {pkg{path: "services/config", testImports: []string{prefix + "internal/embedded/testbed"}}, ""},
		"a service uses the server":         {pkg{path: "services/config", imports: []string{"github.com/nats-io/nats-server/v2/server"}}, "only internal/embedded needs"},
		"the command uses all":              {pkg{path: "cmd/parley", imports: []string{prefix + "services/config", prefix + "services/callback", prefix + "internal/embedded"}}, ""},
		"the domain publishes":              {pkg{path: "services/orchestrator/internal/lifecycle", imports: []string{"github.com/nats-io/nats.go/jetstream"}}, "data in, data out"},
		"the domain queries":                {pkg{path: "services/config/internal/webhooks", imports: []string{"github.com/jackc/pgx/v5"}}, "data in, data out"},
		"the domain calls":                  {pkg{path: "services/dispatcher/internal/reply", imports: []string{"net/http"}}, "data in, data out"},
		"the domain's test calls":           {pkg{path: "services/dispatcher/internal/reply", testImports: []string{"net/http/httptest"}}, ""},
		"a folder for what is left over":    {pkg{path: "internal/common/text", name: "text"}, "name it for its idea"},
		"a package for what is left over":   {pkg{path: "internal/text", name: "utils"}, "name it for its idea"},
		"a name that only contains such an": {pkg{path: "internal/commonmark", name: "commonmark"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := violations([]pkg{test.pkg})
			if test.want == "" {
				if len(got) > 0 {
					t.Errorf("found %q, want none", got)
				}
				return
			}
			if len(got) != 1 || !strings.HasPrefix(got[0], test.pkg.path+" ") || !strings.Contains(got[0], test.want) {
				t.Errorf("found %q, want one that names %s and says %q", got, test.pkg.path, test.want)
			}
		})
	}
}

func TestReadGraph(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"a/a.go":              "package a\nimport (\n\t\"net/http\"\n\tx \"io\"\n)\nvar _ = http.MethodGet\nvar _ x.Reader\n",
		"a/a_other.go":        "//go:build plan9\n\npackage a\nimport \"database/sql\"\nvar _ sql.DB\n",
		"a/a_test.go":         "package a_test\nimport \"testing\"\nvar _ testing.T\n",
		"a/testdata/b.go":     "package b\nimport \"os\"\n",
		".hidden/c.go":        "package c\nimport \"os\"\n",
		"bin/tools/d/d.go":    "package d\n",
		"a/notes.txt":         "package e",
		"onlytests/f_test.go": "package f\nimport \"os\"\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readGraph(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []pkg{
		{path: "a", name: "a", imports: []string{"database/sql", "io", "net/http"}, testImports: []string{"testing"}},
		{path: "onlytests", name: "f", testImports: []string{"os"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
