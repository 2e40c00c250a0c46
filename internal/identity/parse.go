package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
)

// Problem is one thing that is wrong with an input, in the form in which the
// REST answers show it (contract §0.3).
type Problem struct {
	Type string `json:"type"`
	Loc  []any  `json:"loc"`
	Msg  string `json:"msg"`
}

// wrong is a problem without its place.
type wrong struct{ kind, msg string }

func (w wrong) at(loc []any, more ...any) Problem {
	return Problem{Type: w.kind, Loc: append(slices.Clone(loc), more...), Msg: w.msg}
}

var (
	errShape = errors.New("identity: not the JSON of an identity")

	notObject = wrong{"model_attributes_type", "Input should be a valid dictionary or object to extract fields from"}
	notString = wrong{"string_type", "Input should be a valid string"}
	hasNUL    = wrong{"value_error", "Value error, NUL characters are not allowed"}
)

func unlabeled(name string) wrong {
	return wrong{"value_error", `Value error, Custom identity "` + name +
		`" must be an instance of LabeledIdentity (e.g. {"label": "Field label", "value": "123"})`}
}

// Parse reads an identity and returns everything that is wrong with it, each at
// its place below loc. The problems of fields come in the order of the fields;
// that of a custom identity stands at loc itself.
func Parse(raw json.RawMessage, loc ...any) (Identity, []Problem) {
	members, ok := object(raw)
	if !ok {
		return Identity{}, []Problem{notObject.at(loc)}
	}
	var (
		read     Identity
		problems []Problem
	)
	for _, f := range standard() {
		value, present := members[f.name]
		delete(members, f.name)
		if !present || value == nil {
			continue
		}
		text, ok := value.(string)
		if !ok {
			problems = append(problems, notString.at(loc, f.name))
			continue
		}
		text, problem := f.check(text)
		if problem != nil {
			problems = append(problems, problem.at(loc, f.name))
			continue
		}
		if text != "" {
			*f.of(&read) = &text
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		labeled, ok := labeledFrom(members[name])
		ok = ok && !containsNUL(name)
		if !ok {
			problems = append(problems, unlabeled(name).at(loc))
			continue
		}
		if read.Custom == nil {
			read.Custom = make(map[string]Labeled)
		}
		read.Custom[name] = labeled
	}
	if len(problems) > 0 {
		return Identity{}, problems
	}
	return read, nil
}

// object decodes one JSON object and nothing after it.
func object(raw []byte) (map[string]any, bool) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil || members == nil {
		return nil, false
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	return members, true
}

// ParseLabeled reads one {"label", "value"}, the form of custom identities and
// of custom fields; false if it is anything else.
func ParseLabeled(raw json.RawMessage) (Labeled, bool) {
	members, ok := object(raw)
	if !ok {
		return Labeled{}, false
	}
	return labeledFrom(members)
}

func labeledFrom(value any) (Labeled, bool) {
	members, ok := value.(map[string]any)
	if !ok {
		return Labeled{}, false
	}
	label, ok := members["label"].(string)
	if !ok || containsNUL(label) {
		return Labeled{}, false
	}
	if list, ok := members["value"].([]any); ok {
		clean := make([]any, 0, len(list))
		for _, item := range list {
			one, ok := scalar(item)
			if !ok {
				return Labeled{}, false
			}
			clean = append(clean, one)
		}
		return Labeled{Label: label, Value: clean}, true
	}
	one, ok := scalar(members["value"])
	return Labeled{Label: label, Value: one}, ok
}

// UnmarshalJSON reads a labelled value, also one whose value is null, as answers
// show it. Whole numbers stay whole.
func (l *Labeled) UnmarshalJSON(data []byte) error {
	members, ok := object(data)
	if !ok {
		return errShape
	}
	if label, ok := members["label"].(string); ok && members["value"] == nil {
		*l = Labeled{Label: label}
		return nil
	}
	read, ok := labeledFrom(members)
	if !ok {
		return errShape
	}
	*l = read
	return nil
}

// scalar takes a string or a whole number.
func scalar(value any) (any, bool) {
	switch v := value.(type) {
	case string:
		return v, !containsNUL(v)
	case json.Number:
		whole, err := strconv.ParseInt(v.String(), 10, 64)
		return whole, err == nil
	default:
		return nil, false
	}
}
