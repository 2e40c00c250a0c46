package edge

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parley-dsr/parley/internal/identity"
)

// finding is a problem without its place.
type finding struct{ kind, msg string }

var (
	missing       = finding{"missing", "Field required"}
	forbidden     = finding{"extra_forbidden", "Extra inputs are not permitted"}
	notObject     = finding{"model_attributes_type", "Input should be a valid dictionary or object to extract fields from"}
	notDictionary = finding{"dict_type", "Input should be a valid dictionary"}
	notList       = finding{"list_type", "Input should be a valid list"}
	hasNUL        = finding{"value_error", "Value error, NUL characters are not allowed"}
)

// checker walks a value and its rule together. What it returns for a value is
// the value in its plain form; changed says that some value had another.
type checker struct {
	loc      []any
	problems []Problem
	changed  bool
}

func (c *checker) report(f finding) {
	c.problems = append(c.problems, Problem{Type: f.kind, Loc: slices.Clone(c.loc), Msg: f.msg})
}

// below checks something one step down.
func (c *checker) below(step any, value any, r *rule) any {
	c.loc = append(c.loc, step)
	clean := c.check(value, r)
	c.loc = c.loc[:len(c.loc)-1]
	return clean
}

func (c *checker) reportBelow(step any, f finding) {
	c.loc = append(c.loc, step)
	c.report(f)
	c.loc = c.loc[:len(c.loc)-1]
}

// check checks one value.
func (c *checker) check(value any, r *rule) any {
	if value == nil && r.nullable {
		return nil
	}
	if r.format == formatIdentity {
		return c.checkIdentity(value)
	}
	if r.allowed != nil {
		return c.checkEnum(value, r)
	}
	switch r.kind {
	case object:
		return c.checkObject(value, r)
	case array:
		return c.checkArray(value, r)
	case text:
		return c.checkText(value, r)
	case integer:
		return c.checkInteger(value, r)
	case number:
		return c.checkNumber(value, r)
	case boolean:
		return c.checkBoolean(value)
	case union:
		return c.checkUnion(value, r)
	default:
		c.checkNUL(value)
		return value
	}
}

func (c *checker) checkObject(value any, r *rule) any {
	members, ok := value.(map[string]any)
	if !ok {
		if len(r.fields) == 0 {
			c.report(notDictionary)
		} else {
			c.report(notObject)
		}
		return value
	}
	if len(members) < r.minProps {
		c.report(tooShort("Dictionary", r.minProps, len(members)))
	}
	declared := make(map[string]bool, len(r.fields))
	for _, f := range r.fields {
		declared[f.name] = true
		member, present := members[f.name]
		switch {
		case present:
			members[f.name] = c.below(f.name, member, f.rule)
		case f.required:
			c.reportBelow(f.name, missing)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !declared[name] {
			c.checkOther(members, name, r)
		}
	}
	return members
}

// checkOther checks a member that the document does not name. Where nothing is
// said about such members they are ignored, and still must be storable, since
// an open object is kept as it is.
func (c *checker) checkOther(members map[string]any, name string, r *rule) {
	switch {
	case r.closed:
		c.reportBelow(name, forbidden)
	case strings.ContainsRune(name, 0):
		c.report(hasNUL)
	case r.extra != nil:
		members[name] = c.below(name, members[name], r.extra)
	default:
		c.below(name, members[name], &rule{})
	}
}

func (c *checker) checkArray(value any, r *rule) any {
	list, ok := value.([]any)
	if !ok {
		c.report(notList)
		return value
	}
	if r.maxItems >= 0 && len(list) > r.maxItems {
		c.report(finding{"too_long", fmt.Sprintf("List should have at most %s after validation, not %d",
			count(r.maxItems, "item"), len(list))})
		return value
	}
	if r.items != nil {
		for i, item := range list {
			list[i] = c.below(i, item, r.items)
		}
	}
	if len(list) < r.minItems {
		c.report(tooShort("List", r.minItems, len(list)))
	}
	return list
}

func tooShort(what string, least, got int) finding {
	return finding{"too_short", fmt.Sprintf("%s should have at least %s after validation, not %d", what, count(least, "item"), got)}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (c *checker) checkEnum(value any, r *rule) any {
	encoded, err := json.Marshal(value)
	if err != nil || !r.allowed[string(encoded)] {
		c.report(finding{"enum", r.choice})
	}
	return value
}

// checkUnion takes the first option that the value fits as it is, then the
// first that it fits in a lenient reading. Where it fits none, the option whose
// JSON type is the value's tells why.
func (c *checker) checkUnion(value any, r *rule) any {
	var lenient any
	fits := false
	for _, option := range r.options {
		try := checker{loc: c.loc}
		clean := try.check(clone(value), option)
		if len(try.problems) > 0 {
			continue
		}
		if !try.changed {
			return value
		}
		if !fits {
			lenient, fits = clean, true
		}
	}
	if fits {
		c.changed = true
		return lenient
	}
	return c.check(value, closest(value, r.options))
}

func closest(value any, options []*rule) *rule {
	var wanted kind
	switch value.(type) {
	case map[string]any:
		wanted = object
	case []any:
		wanted = array
	case string:
		wanted = text
	case json.Number:
		wanted = integer
	case bool:
		wanted = boolean
	}
	for _, option := range options {
		if option.kind == wanted || option.kind == number && wanted == integer {
			return option
		}
	}
	return options[0]
}

// clone copies what a check may write to.
func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		copied := make(map[string]any, len(v))
		for name, member := range v {
			copied[name] = clone(member)
		}
		return copied
	case []any:
		copied := make([]any, len(v))
		for i, item := range v {
			copied[i] = clone(item)
		}
		return copied
	default:
		return value
	}
}

// checkIdentity leaves identities to their own package.
func (c *checker) checkIdentity(value any) any {
	encoded, err := json.Marshal(value)
	if err != nil {
		c.report(notObject)
		return value
	}
	_, problems := identity.Parse(encoded, c.loc...)
	c.problems = append(c.problems, problems...)
	return value
}

// checkNUL looks for NUL characters in a value without a schema.
func (c *checker) checkNUL(value any) {
	switch v := value.(type) {
	case string:
		if strings.ContainsRune(v, 0) {
			c.report(hasNUL)
		}
	case []any:
		for i, item := range v {
			c.below(i, item, &rule{})
		}
	case map[string]any:
		c.checkObject(v, &rule{})
	}
}
