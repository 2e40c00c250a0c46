// Package merge makes one OpenAPI document of those of several services, which
// answer under one origin.
//
// Components that are the same everywhere are shared. Where two services give
// one name to different things, the later one's gets the service's name in
// front. Everything else is a union; the documents must not describe the same
// operation twice. The result is the same for the same documents, so that it
// can be kept in the repository and compared.
package merge

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// ErrTwice is returned for an operation or a tag that two documents describe.
var ErrTwice = errors.New("merge: described twice")

const refPrefix = "#/components/"

// Document is the document of one service.
type Document struct {
	// Service goes in front of names that are taken, such as "Callback".
	Service string
	// Text is YAML or JSON.
	Text []byte
}

type object = map[string]any

// Documents merges documents under a title of their own.
func Documents(info map[string]any, documents []Document) ([]byte, error) {
	merged := object{"openapi": "3.0.3", "info": info, "paths": object{}, "components": object{}, "tags": []any{}}
	for _, d := range documents {
		doc, err := load(d)
		if err != nil {
			return nil, err
		}
		if err := add(merged, doc, d.Service); err != nil {
			return nil, fmt.Errorf("%w, in the document of %s", err, d.Service)
		}
	}
	text, err := json.MarshalIndent(merged, "", " ")
	if err != nil {
		return nil, fmt.Errorf("merge: %w", err)
	}
	return append(text, '\n'), nil
}

func load(d Document) (object, error) {
	doc, err := openapi3.NewLoader().LoadFromData(d.Text)
	if err != nil {
		return nil, fmt.Errorf("merge: the document of %s: %w", d.Service, err)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("merge: %w", err)
	}
	var plain object
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, fmt.Errorf("merge: %w", err)
	}
	return plain, nil
}

func add(merged, doc object, service string) error {
	components, _ := doc["components"].(object)
	rename(doc, renames(merged["components"].(object), components, service))
	components, _ = doc["components"].(object)
	for section, members := range components {
		into := sub(merged["components"].(object), section)
		for name, component := range members.(object) {
			if section == "securitySchemes" && into[name] != nil {
				union(into[name].(object), component.(object)) // scopes
				continue
			}
			into[name] = component
		}
	}
	paths, _ := doc["paths"].(object)
	for path, item := range paths {
		if err := addPath(sub(merged["paths"].(object), path), item.(object), doc["security"]); err != nil {
			return fmt.Errorf("%w: %s", err, path)
		}
	}
	if tags, ok := doc["tags"].([]any); ok {
		merged["tags"] = append(merged["tags"].([]any), tags...)
	}
	return nil
}

// addPath adds the operations of a path. What the document says about security
// as a whole is said by each operation that says nothing.
func addPath(into, item object, security any) error {
	for member, value := range item {
		operation, isOperation := value.(object)
		if isOperation && operation["security"] == nil && security != nil {
			operation["security"] = security
		}
		if there := into[member]; there != nil && !reflect.DeepEqual(there, value) {
			return ErrTwice
		}
		into[member] = value
	}
	return nil
}

// renames gives the components that have to be called otherwise, from "section
// /name" to the new name. A component that refers to a renamed one is another
// than its namesake, too, so they are looked for until there are no more.
func renames(taken, components object, service string) map[string]string {
	found := map[string]string{}
	for {
		before := len(found)
		for section, members := range components {
			if section == "securitySchemes" {
				continue
			}
			there, _ := taken[section].(object)
			for name, component := range members.(object) {
				key := section + "/" + name
				if found[key] != "" || there[name] == nil || reflect.DeepEqual(there[name], rewritten(component, found)) {
					continue
				}
				found[key] = service + name
			}
		}
		if len(found) == before {
			return found
		}
	}
}

// rename gives components their new names, and references to them.
func rename(doc object, names map[string]string) {
	components, _ := doc["components"].(object)
	for key, name := range names {
		section, old, _ := strings.Cut(key, "/")
		members := components[section].(object)
		members[name] = members[old]
		delete(members, old)
	}
	for member, value := range doc {
		doc[member] = rewritten(value, names)
	}
}

// rewritten is a copy with references to the new names.
func rewritten(value any, names map[string]string) any {
	switch v := value.(type) {
	case object:
		next := make(object, len(v))
		for member, inner := range v {
			if ref, isText := inner.(string); isText && member == "$ref" {
				next[member] = reference(ref, names)
				continue
			}
			next[member] = rewritten(inner, names)
		}
		return next
	case []any:
		next := make([]any, len(v))
		for i, inner := range v {
			next[i] = rewritten(inner, names)
		}
		return next
	}
	return value
}

func reference(ref string, names map[string]string) string {
	key, local := strings.CutPrefix(ref, refPrefix)
	if name := names[key]; local && name != "" {
		section, _, _ := strings.Cut(key, "/")
		return refPrefix + section + "/" + name
	}
	return ref
}

// union adds the members that are not there, to any depth.
func union(into, from object) {
	for _, member := range slices.Sorted(maps.Keys(from)) {
		there, both := into[member].(object)
		inner, isObject := from[member].(object)
		switch {
		case both && isObject:
			union(there, inner)
		case into[member] == nil:
			into[member] = from[member]
		}
	}
}

func sub(o object, member string) object {
	inner, there := o[member].(object)
	if !there {
		inner = object{}
		o[member] = inner
	}
	return inner
}
