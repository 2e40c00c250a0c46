// Package house checks the plan of the house: who may import whom. The linter
// shows a breach of most rules while one types; this test sees the whole graph,
// of every module of the workspace, also of files that a build tag leaves out.
package house

import (
	"fmt"
	"slices"
	"strings"
)

// prefix of all our packages.
const prefix = "github.com/parley-dsr/parley/"

// pkg is a package of ours with the imports that its files name.
type pkg struct {
	path        string // below prefix: "services/config/internal/store"
	name        string // in its package clauses
	imports     []string
	testImports []string // of its test files
}

// ours are the imports that are packages of this repository, below prefix.
func ours(imports []string) []string {
	var found []string
	for _, path := range imports {
		if below, ok := strings.CutPrefix(path, prefix); ok {
			found = append(found, below)
		}
	}
	return found
}

func under(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// service is the one that a package belongs to, or "".
func service(path string) string {
	below, ok := strings.CutPrefix(path, "services/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(below, "/")
	return name
}

// domain packages are data in, data out.
func domain() []string {
	return []string{
		"services/orchestrator/internal/lifecycle",
		"services/dispatcher/internal/reply",
		"services/dispatcher/internal/retry",
		"services/config/internal/webhooks",
		"internal/identity",
		"internal/record",
		"internal/work",
	}
}

// infrastructure is what the domain must not know.
func infrastructure() []string {
	return []string{"github.com/nats-io", "github.com/jackc", "database/sql", "net/http"}
}

// pkg/events/eventstest holds the tests of pkg/events, which need a server; it
// is a module of its own so that pkg/events does not.
const eventsTests = "pkg/events/eventstest"

func isTestbed(path string) bool {
	return under(path, "internal/embedded") || under(path, eventsTests) || under(path, "bench")
}

// violations lists every breach, one a line, in the order of the packages.
func violations(packages []pkg) []string {
	var found []string
	for _, p := range packages {
		for _, rule := range []func(pkg) []string{
			eventsAlone, plumbingBelow, servicesApart, oneHouseholder, serverInside, domainPure, namesOfTheField,
		} {
			for _, breach := range rule(p) {
				found = append(found, p.path+" "+breach)
			}
		}
	}
	return found
}

// Rule 1: pkg/events imports nothing of ours and never the server. Examples are
// built with pkg/events alone, as anybody's programs are.
func eventsAlone(p pkg) []string {
	if under(p.path, eventsTests) || !under(p.path, "pkg/events") && !under(p.path, "examples") {
		return nil
	}
	var breaches []string
	for _, path := range ours(slices.Concat(p.imports, p.testImports)) {
		if !under(path, "pkg/events") && !under(path, "examples") {
			breaches = append(breaches, "imports "+path+": only pkg/events may be used here")
		}
	}
	for _, path := range slices.Concat(p.imports, p.testImports) {
		if strings.HasPrefix(path, "github.com/nats-io/nats-server") {
			breaches = append(breaches, "imports "+path+": users would get the server with it")
		}
	}
	return breaches
}

// Rule 2: the plumbing knows no service and no command.
func plumbingBelow(p pkg) []string {
	if !under(p.path, "internal") {
		return nil
	}
	var breaches []string
	for _, path := range ours(slices.Concat(p.imports, p.testImports)) {
		if !under(path, "internal") && !under(path, "pkg/events") {
			breaches = append(breaches, "imports "+path+": the plumbing is below the services")
		}
	}
	return breaches
}

// Rule 3: a service never imports another one, nor a command.
func servicesApart(p pkg) []string {
	self := service(p.path)
	if self == "" {
		return nil
	}
	var breaches []string
	for _, path := range ours(slices.Concat(p.imports, p.testImports)) {
		other := service(path)
		switch {
		case other != "" && other != self:
			breaches = append(breaches, "imports "+path+": services speak through events and records, not through calls")
		case other == "" && !under(path, "internal") && !under(path, "pkg/events"):
			breaches = append(breaches, "imports "+path+": a service imports the plumbing and pkg/events only")
		}
	}
	return breaches
}

// Rule 4: only cmd/parley (and bench, which measures the whole) knows several
// services; only they and tests run embedded infrastructure.
func oneHouseholder(p pkg) []string {
	if under(p.path, "cmd/parley") || isTestbed(p.path) {
		return nil
	}
	var breaches []string
	for _, path := range ours(p.imports) {
		if under(path, "internal/embedded") {
			breaches = append(breaches, "imports "+path+": outside of tests only cmd/parley embeds infrastructure")
		}
	}
	return breaches
}

// The server is in internal/embedded, and in the tests that need more of it.
func serverInside(p pkg) []string {
	if isTestbed(p.path) {
		return nil
	}
	var breaches []string
	for _, path := range p.imports {
		if strings.HasPrefix(path, "github.com/nats-io/nats-server") {
			breaches = append(breaches, "imports "+path+": only internal/embedded needs the server")
		}
	}
	return breaches
}

// Rule 5: the domain knows no NATS, SQL or HTTP.
func domainPure(p pkg) []string {
	if !slices.Contains(domain(), p.path) {
		return nil
	}
	var breaches []string
	for _, path := range p.imports {
		if slices.ContainsFunc(infrastructure(), func(i string) bool { return under(path, i) }) {
			breaches = append(breaches, "imports "+path+": the domain is data in, data out")
		}
	}
	return breaches
}

// Packages are named for what they know, not for what nobody knew where to put.
func namesOfTheField(p pkg) []string {
	var breaches []string
	for _, bad := range []string{"util", "utils", "common", "helper", "helpers", "model", "models"} {
		if p.name == bad || slices.Contains(strings.Split(p.path, "/"), bad) {
			breaches = append(breaches, fmt.Sprintf("is called %s: name it for its idea", bad))
		}
	}
	return breaches
}
