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
	notUTF8       = finding{"value_error", "Value error, the text should be UTF-8"}
)

// checker walks a value and its rule together. What it returns for a value is
// the value in its plain form, and changed says that this is another. The value
// itself is never written to: what changes is copied, the rest is shared.
type checker struct {
	loc      []any
	problems []Problem
	changed  bool
}

// maxProblems bounds an answer: a body of a megabyte can be wrong in half a
// million places.
const maxProblems = 1000

func (c *checker) report(f finding) {
	c.add(Problem{Type: f.kind, Loc: slices.Clone(c.loc), Msg: f.msg})
}

func (c *checker) add(problems ...Problem) {
	room := max(0, maxProblems-len(c.problems))
	c.problems = append(c.problems, problems[:min(room, len(problems))]...)
}

// below checks something one step down and says whether its plain form is
// another.
func (c *checker) below(step any, value any, r *rule) (clean any, changed bool) {
	before := c.changed
	c.changed = false
	c.loc = append(c.loc, step)
	clean = c.check(value, r)
	c.loc = c.loc[:len(c.loc)-1]
	changed = c.changed
	c.changed = before || changed
	return clean, changed
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
	plain := copyOnWrite{members: members}
	declared := make(map[string]bool, len(r.fields))
	for _, f := range r.fields {
		declared[f.name] = true
		member, present := members[f.name]
		switch {
		case present:
			plain.set(f.name)(c.below(f.name, member, f.rule))
		case f.required:
			c.reportBelow(f.name, missing)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !declared[name] {
			c.checkOther(&plain, name, members[name], r)
		}
	}
	return plain.members
}

// checkOther checks a member that the document does not name. Where nothing is
// said about such members they are left as they are.
func (c *checker) checkOther(plain *copyOnWrite, name string, member any, r *rule) {
	switch {
	case r.closed:
		c.reportBelow(name, forbidden)
	case r.extra != nil:
		plain.set(name)(c.below(name, member, r.extra))
	}
}

// copyOnWrite are the members of an object, copied before the first change.
type copyOnWrite struct {
	members map[string]any
	copied  bool
}

// set gives a function that takes what below returns.
func (p *copyOnWrite) set(name string) func(clean any, changed bool) {
	return func(clean any, changed bool) {
		if !changed {
			return
		}
		if !p.copied {
			p.members, p.copied = maps.Clone(p.members), true
		}
		p.members[name] = clean
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
	if len(list) < r.minItems {
		c.report(tooShort("List", r.minItems, len(list)))
	}
	if r.items == nil {
		return list
	}
	plain, copied := list, false
	for i, item := range list {
		clean, changed := c.below(i, item, r.items)
		if !changed {
			continue
		}
		if !copied {
			plain, copied = slices.Clone(list), true
		}
		plain[i] = clean
	}
	return plain
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
	attempts := make([]checker, len(r.options))
	var lenient any
	fits := false
	for i, option := range r.options {
		attempt := &attempts[i]
		attempt.loc = c.loc
		clean := attempt.check(value, option)
		switch {
		case len(attempt.problems) > 0:
		case !attempt.changed:
			return value
		case !fits:
			lenient, fits = clean, true
		}
	}
	if fits {
		c.changed = true
		return lenient
	}
	c.add(attempts[closest(value, r.options)].problems...)
	return value
}

// closest gives the index of the option of the value's JSON type, or 0.
func closest(value any, options []*rule) int {
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
	found := slices.IndexFunc(options, func(option *rule) bool {
		return option.kind == wanted || option.kind == number && wanted == integer
	})
	return max(0, found)
}

// checkIdentity leaves identities to their own package.
func (c *checker) checkIdentity(value any) any {
	encoded, err := json.Marshal(value)
	if err != nil {
		c.report(notObject)
		return value
	}
	_, problems := identity.Parse(encoded, c.loc...)
	c.add(problems...)
	return value
}

// checkNUL looks for NUL characters everywhere in a value, since what a schema
// leaves open is stored as it is.
func (c *checker) checkNUL(value any) {
	switch v := value.(type) {
	case string:
		if strings.ContainsRune(v, 0) {
			c.report(hasNUL)
		}
	case []any:
		for i, item := range v {
			c.checkNULBelow(i, item)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if strings.ContainsRune(name, 0) {
				c.report(hasNUL)
				continue
			}
			c.checkNULBelow(name, v[name])
		}
	}
}

func (c *checker) checkNULBelow(step, value any) {
	c.loc = append(c.loc, step)
	c.checkNUL(value)
	c.loc = c.loc[:len(c.loc)-1]
}
