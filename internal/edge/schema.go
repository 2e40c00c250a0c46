package edge

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// kind is which JSON values a rule is about.
type kind int

const (
	anyValue kind = iota
	object
	array
	text
	integer
	number
	boolean
	union
)

// patternKey is a way to write the format fides-key.
const patternKey = "^[A-Za-z0-9_-]+$"

// rule is a schema, ready to check values.
type rule struct {
	kind     kind
	nullable bool
	format   string

	allowed map[string]bool // of an enum, by JSON text
	choice  string          // the enum in words

	fields   []field // of an object, in the order of the document
	closed   bool    // no other fields
	extra    *rule   // for other fields
	minProps int

	items              *rule
	minItems, maxItems int // maxItems < 0: no limit

	minLength, maxLength int // maxLength < 0: no limit
	pattern              *regexp.Regexp

	bounds  []bound
	options []*rule // of a union
}

type field struct {
	name     string
	required bool
	rule     *rule
}

// bound is a limit of a number, in the words of its problem.
type bound struct {
	kind, msg string
	holds     func(float64) bool
}

// compiler turns schemas into rules, each once, so that cycles end.
type compiler struct {
	known map[*openapi3.Schema]*rule
	merge map[*openapi3.Schema]bool // schemas whose allOf is being merged
}

func newCompiler() *compiler {
	return &compiler{known: make(map[*openapi3.Schema]*rule), merge: make(map[*openapi3.Schema]bool)}
}

func (c *compiler) compile(ref *openapi3.SchemaRef) (*rule, error) {
	if ref == nil || ref.Value == nil {
		return &rule{maxItems: -1, maxLength: -1}, nil
	}
	if made, found := c.known[ref.Value]; found {
		return made, nil
	}
	made := &rule{maxItems: -1, maxLength: -1}
	c.known[ref.Value] = made
	return made, c.fill(made, ref.Value)
}

// fill writes what a schema says into a rule; what stands in allOf first, so
// that the schema's own words count.
func (c *compiler) fill(r *rule, s *openapi3.Schema) error {
	if c.merge[s] {
		return errors.New("allOf leads back to itself")
	}
	c.merge[s] = true
	defer delete(c.merge, s)
	for _, part := range s.AllOf {
		if err := c.fill(r, part.Value); err != nil {
			return err
		}
	}
	r.nullable = r.nullable || s.Nullable || s.Type.IncludesNull()
	if s.Format != "" {
		r.format = s.Format
	}
	if k := kindOf(s); k != anyValue {
		r.kind = k
	}
	if err := c.fillUnion(r, s); err != nil {
		return err
	}
	if err := c.fillObject(r, s); err != nil {
		return err
	}
	if err := c.fillArray(r, s); err != nil {
		return err
	}
	fillEnum(r, s)
	fillNumber(r, s)
	return fillText(r, s)
}

func kindOf(s *openapi3.Schema) kind {
	for name, k := range map[string]kind{
		openapi3.TypeObject: object, openapi3.TypeArray: array, openapi3.TypeString: text,
		openapi3.TypeInteger: integer, openapi3.TypeNumber: number, openapi3.TypeBoolean: boolean,
	} {
		if s.Type != nil && s.Type.Includes(name) {
			return k
		}
	}
	switch {
	case len(s.OneOf)+len(s.AnyOf) > 0:
		return union
	case len(s.Properties) > 0:
		return object
	case s.Items != nil:
		return array
	}
	return anyValue
}

func (c *compiler) fillUnion(r *rule, s *openapi3.Schema) error {
	for _, ref := range slices.Concat(s.OneOf, s.AnyOf) {
		option, err := c.compile(ref)
		if err != nil {
			return err
		}
		r.options = append(r.options, option)
	}
	return nil
}

func (c *compiler) fillObject(r *rule, s *openapi3.Schema) error {
	for _, name := range inOrder(s.Properties) {
		made, err := c.compile(s.Properties[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r.fields = slices.DeleteFunc(r.fields, func(f field) bool { return f.name == name })
		r.fields = append(r.fields, field{name: name, rule: made})
	}
	for i := range r.fields {
		r.fields[i].required = r.fields[i].required || slices.Contains(s.Required, r.fields[i].name)
	}
	r.minProps = max(r.minProps, int(s.MinProps)) //nolint:gosec // of a document of ours
	if has := s.AdditionalProperties.Has; has != nil {
		r.closed = !*has
	}
	if schema := s.AdditionalProperties.Schema; schema != nil {
		made, err := c.compile(schema)
		if err != nil {
			return err
		}
		r.extra = made
	}
	return nil
}

// inOrder gives the names of properties as they stand in the document. A
// document in JSON is read without places; there the alphabet decides.
func inOrder(properties openapi3.Schemas) []string {
	place := func(name string) (line, column int) {
		origin := properties[name].Origin
		if origin == nil || origin.Key == nil {
			return 0, 0
		}
		return origin.Key.Line, origin.Key.Column
	}
	names := make([]string, 0, len(properties))
	for name := range properties {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		lineA, columnA := place(a)
		lineB, columnB := place(b)
		if lineA != lineB {
			return lineA - lineB
		}
		if columnA != columnB {
			return columnA - columnB
		}
		return strings.Compare(a, b)
	})
	return names
}

func (c *compiler) fillArray(r *rule, s *openapi3.Schema) error {
	r.minItems = max(r.minItems, int(s.MinItems)) //nolint:gosec // of a document of ours
	if s.MaxItems != nil {
		r.maxItems = int(*s.MaxItems) //nolint:gosec // of a document of ours
	}
	if s.Items == nil {
		return nil
	}
	made, err := c.compile(s.Items)
	r.items = made
	return err
}

func fillEnum(r *rule, s *openapi3.Schema) {
	if len(s.Enum) == 0 {
		return
	}
	r.allowed = make(map[string]bool, len(s.Enum))
	var words []string
	for _, value := range s.Enum {
		if value == nil {
			r.nullable = true
			continue
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			continue
		}
		r.allowed[string(encoded)] = true
		word := string(encoded)
		if s, isText := value.(string); isText {
			word = "'" + s + "'"
		}
		words = append(words, word)
	}
	r.choice = "Input should be " + orList(words)
}

// orList is "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func fillText(r *rule, s *openapi3.Schema) error {
	r.minLength = max(r.minLength, int(s.MinLength)) //nolint:gosec // of a document of ours
	if s.MaxLength != nil {
		r.maxLength = int(*s.MaxLength) //nolint:gosec // of a document of ours
	}
	switch s.Pattern {
	case "":
		return nil
	case patternKey:
		r.format = formatKey
		return nil
	}
	pattern, err := regexp.Compile(s.Pattern)
	r.pattern = pattern
	return err
}

func fillNumber(r *rule, s *openapi3.Schema) {
	if limit := s.Min; limit != nil {
		if s.ExclusiveMin.IsTrue() {
			r.above(*limit)
		} else {
			r.bounds = append(r.bounds, bound{
				"greater_than_equal", "Input should be greater than or equal to " + plainNumber(*limit),
				func(f float64) bool { return f >= *limit },
			})
		}
	}
	if limit := s.Max; limit != nil {
		if s.ExclusiveMax.IsTrue() {
			r.below(*limit)
		} else {
			r.bounds = append(r.bounds, bound{
				"less_than_equal", "Input should be less than or equal to " + plainNumber(*limit),
				func(f float64) bool { return f <= *limit },
			})
		}
	}
	if limit := s.ExclusiveMin.Value; limit != nil {
		r.above(*limit)
	}
	if limit := s.ExclusiveMax.Value; limit != nil {
		r.below(*limit)
	}
}

func (r *rule) above(limit float64) {
	r.bounds = append(r.bounds, bound{
		"greater_than", "Input should be greater than " + plainNumber(limit), func(f float64) bool { return f > limit },
	})
}

func (r *rule) below(limit float64) {
	r.bounds = append(r.bounds, bound{
		"less_than", "Input should be less than " + plainNumber(limit), func(f float64) bool { return f < limit },
	})
}

func plainNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
