package house

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// readGraph reads the imports of every Go file below root, except those in
// folders that the Go tool ignores.
func readGraph(root string) ([]pkg, error) {
	packages := map[string]*pkg{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipIgnored(root, path)
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		return addFile(packages, root, path)
	})
	if err != nil {
		return nil, err
	}
	var graph []pkg
	for _, path := range slices.Sorted(maps.Keys(packages)) {
		graph = append(graph, *packages[path])
	}
	return graph, nil
}

func skipIgnored(root, dir string) error {
	name := filepath.Base(dir)
	if dir != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "bin") {
		return filepath.SkipDir
	}
	return nil
}

func addFile(packages map[string]*pkg, root, path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	dir, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		return err
	}
	dir = filepath.ToSlash(dir)
	p := packages[dir]
	if p == nil {
		p = &pkg{path: dir}
		packages[dir] = p
	}
	test := strings.HasSuffix(path, "_test.go")
	if !test || p.name == "" {
		p.name = strings.TrimSuffix(file.Name.Name, "_test")
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if test {
			p.testImports = append(p.testImports, imported)
		} else {
			p.imports = append(p.imports, imported)
		}
	}
	slices.Sort(p.imports)
	p.imports = slices.Compact(p.imports)
	slices.Sort(p.testImports)
	p.testImports = slices.Compact(p.testImports)
	return nil
}

// findRoot is the folder of go.work, above the working directory.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.work above the test")
		}
		dir = parent
	}
}
