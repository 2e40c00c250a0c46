package identity

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// UnmarshalJSON reads what MarshalJSON wrote. It checks the shape and not the
// rules, so that what was accepted once stays readable when rules change; what
// comes from outside goes through Parse.
func (i *Identity) UnmarshalJSON(data []byte) error {
	decoder := jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return i.UnmarshalJSONFrom(decoder)
}

// UnmarshalJSONFrom is UnmarshalJSON in the middle of a longer text.
func (i *Identity) UnmarshalJSONFrom(decoder *jsontext.Decoder) error {
	if decoder.PeekKind() != '{' {
		return errShape
	}
	_, err := decoder.ReadToken()
	read, fields := Identity{}, standard()
	for err == nil && decoder.PeekKind() == '"' {
		err = read.member(decoder, fields[:])
	}
	if err != nil || decoder.PeekKind() != '}' {
		return errShape
	}
	if _, err := decoder.ReadToken(); err != nil {
		return errShape
	}
	*i = read
	return nil
}

// member reads a name and its value.
func (i *Identity) member(decoder *jsontext.Decoder, fields []field) error {
	token, err := decoder.ReadToken()
	if err != nil {
		return errShape
	}
	name := token.String()
	for _, f := range fields {
		if f.name == name {
			return readText(decoder, f.of(i))
		}
	}
	value, err := decoder.ReadValue()
	if err != nil {
		return errShape
	}
	labeled, ok := ParseLabeled(append([]byte(nil), value...))
	if !ok || containsNUL(name) {
		return errShape
	}
	if i.Custom == nil {
		i.Custom = make(map[string]Labeled)
	}
	i.Custom[name] = labeled
	return nil
}

// readText reads a text or null; an empty text is none.
func readText(decoder *jsontext.Decoder, into **string) error {
	token, err := decoder.ReadToken()
	if err != nil {
		return errShape
	}
	*into = nil
	switch token.Kind() {
	case 'n':
	case '"':
		if text := token.String(); text != "" {
			*into = &text
		}
	default:
		return errShape
	}
	return nil
}
