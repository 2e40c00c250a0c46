package edge

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// errOptions says that a known path was asked for its methods.
var errOptions = errors.New("edge: OPTIONS")

// router finds the operation of a path. Where a path fits several templates,
// one with plain text wins over one with a parameter at the first segment in
// which they differ, provided that it has the method.
type router struct {
	root       branch
	operations map[string]bool // the ids
}

type branch struct {
	plain   map[string]*branch
	param   *branch
	methods map[string]*operation
}

// match is what was found.
type match struct {
	operation *operation
	values    []string // of the path's parameters, unescaped, in order
	allow     string   // the methods of the path
}

// add enters one operation under its template.
func (t *router) add(template, method string, op *operation) {
	at := &t.root
	for _, segment := range strings.Split(template[1:], "/") {
		at = at.child(segment)
	}
	if at.methods == nil {
		at.methods = make(map[string]*operation)
	}
	at.methods[method] = op
}

// child gives the branch of a template's segment, and makes it where it is new.
func (b *branch) child(segment string) *branch {
	if strings.HasPrefix(segment, "{") {
		if b.param == nil {
			b.param = &branch{}
		}
		return b.param
	}
	if b.plain == nil {
		b.plain = make(map[string]*branch)
	}
	if b.plain[segment] == nil {
		b.plain[segment] = &branch{}
	}
	return b.plain[segment]
}

// match finds the operation. Otherwise the error is the answer: 404 for GET and
// HEAD, 405 for other methods, as the existing system has a page for every GET
// (contract §0.1).
func (t *router) match(method, path string) (match, error) {
	wanted := method
	if method == http.MethodHead {
		wanted = http.MethodGet
	}
	var allowed []string
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if op, values := t.root.find(segments, wanted, nil, &allowed); op != nil {
		return match{operation: op, values: values}, nil
	}
	slices.Sort(allowed)
	allow := strings.Join(slices.Compact(allowed), ", ")
	switch {
	case method == http.MethodOptions && allow != "":
		return match{allow: allow + ", OPTIONS"}, errOptions
	case wanted == http.MethodGet:
		return match{}, NotFound(textNotFound)
	}
	refusal := refuse(http.StatusMethodNotAllowed, textMethod)
	if allow == "" {
		allow = http.MethodGet
	}
	refusal.Header = http.Header{"Allow": {allow}}
	return match{}, refusal
}

// find walks down; what fits without having the method adds to allowed.
func (b *branch) find(segments []string, method string, values []string, allowed *[]string) (*operation, []string) {
	if len(segments) == 0 {
		for m := range b.methods {
			*allowed = append(*allowed, m)
			if m == http.MethodGet {
				*allowed = append(*allowed, http.MethodHead)
			}
		}
		return b.methods[method], values
	}
	if child := b.plain[segments[0]]; child != nil {
		if op, found := child.find(segments[1:], method, values, allowed); op != nil {
			return op, found
		}
	}
	value, err := url.PathUnescape(segments[0])
	if b.param == nil || value == "" || err != nil {
		return nil, nil
	}
	return b.param.find(segments[1:], method, append(slices.Clone(values), value), allowed)
}
