package eventstest

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fields yields the fields that stand in JSON.
func fields(typ reflect.Type) iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) {
		for i := range typ.NumField() {
			if f := typ.Field(i); f.IsExported() && f.Tag.Get("json") != "-" && !yield(f) {
				return
			}
		}
	}
}

// structIn gives the struct that a type holds, by pointer or as a list, nil for
// none. A time is written as a text.
func structIn(typ reflect.Type) reflect.Type {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() {
		return nil
	}
	return typ
}

// fill sets everything to something, so that nothing is left out of JSON.
// Closed lists of words are known by the names of the fields.
func fill(v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)))
		return
	case json.RawMessage:
		v.SetBytes([]byte(`[{"key":"value"}]`))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		words := map[string]string{"Action": "erasure", "Phase": "pre", "Direction": "two_way", "Noun": "policy"}
		for f := range fields(v.Type()) {
			if word, ok := words[f.Name]; ok && f.Type.Kind() == reflect.String {
				v.FieldByIndex(f.Index).SetString(word)
				continue
			}
			fill(v.FieldByIndex(f.Index))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value)
		v.SetMapIndex(reflect.ValueOf("name"), value)
	case reflect.Interface:
		v.Set(reflect.ValueOf("anything"))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint64:
		v.SetUint(7)
	}
}

// constants gives the texts of the constants of the package in a folder whose
// names, or whose types, begin so, and whose texts do.
func constants(t *testing.T, dir, name, text string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range parsed.Decls {
			group, ok := declared.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST || strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, spec := range group.Specs {
				found = append(found, textsOf(spec.(*ast.ValueSpec), name, text)...)
			}
		}
	}
	slices.Sort(found)
	return found
}

func textsOf(spec *ast.ValueSpec, name, text string) []string {
	typed, _ := spec.Type.(*ast.Ident)
	var found []string
	for i, value := range spec.Values {
		literal, ok := value.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			continue
		}
		said, err := strconv.Unquote(literal.Value)
		begins := strings.HasPrefix(spec.Names[i].Name, name) || typed != nil && typed.Name == name
		if err == nil && begins && strings.HasPrefix(said, text) && said != text {
			found = append(found, said)
		}
	}
	return found
}
