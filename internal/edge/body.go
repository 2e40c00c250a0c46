package edge

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"unicode/utf8"
)

// escapedNUL is the one way to write a NUL character in JSON.
const escapedNUL = `\u0000`

// bodyRule is what an operation declares about its body.
type bodyRule struct {
	declared bool
	required bool
	form     bool
	rule     *rule
}

// content is a body that was read.
type content struct {
	rule    bodyRule
	present bool
	value   any // decoded, numbers as json.Number
	raw     []byte
	changed bool // the value is no longer what raw says
}

// read reads the whole body and its syntax.
func (b bodyRule) read(w http.ResponseWriter, r *http.Request, limit int64) (content, error) {
	c := content{rule: b}
	if !b.declared {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		return c, nil
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c, refuse(http.StatusRequestTimeout, "The request body did not arrive in time")
	case errors.As(err, &tooLarge):
		return c, refuse(http.StatusRequestEntityTooLarge, "Request body must not be larger than %d bytes", limit)
	case err != nil, !utf8.Valid(raw):
		return c, BadRequest("There was an error parsing the body")
	}
	c.raw = raw
	if b.form {
		return c, c.readForm(r)
	}
	return c, c.readJSON()
}

// readJSON decodes one JSON value and nothing after it.
func (c *content) readJSON() error {
	if len(c.raw) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(c.raw))
	decoder.UseNumber()
	if err := decoder.Decode(&c.value); err != nil {
		return syntaxProblem(err, len(c.raw))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return jsonInvalid(int(decoder.InputOffset()))
	}
	c.present = c.value != nil || c.rule.rule.nullable
	return nil
}

func syntaxProblem(err error, length int) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset > 0 {
		return jsonInvalid(int(syntax.Offset) - 1)
	}
	return jsonInvalid(length)
}

func jsonInvalid(position int) error {
	return Unprocessable([]Problem{{Type: "json_invalid", Loc: []any{"body", position}, Msg: "JSON decode error"}})
}

// readForm reads a form as an object of texts. A field without a value is as
// good as absent; of a repeated one the last counts.
func (c *content) readForm(r *http.Request) error {
	const form = "application/x-www-form-urlencoded"
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	values := url.Values{}
	switch {
	case r.Header.Get("Content-Type") == "":
		r.Header.Set("Content-Type", form)
		fallthrough
	case err == nil && kind == form:
		if values, err = url.ParseQuery(string(c.raw)); err != nil {
			return BadRequest("There was an error parsing the body")
		}
	}
	fields := make(map[string]any, len(values))
	for name, given := range values {
		if last := given[len(given)-1]; last != "" {
			fields[name] = last
		}
	}
	c.value, c.present = fields, true
	return nil
}

// check checks the body against its schema.
func (b bodyRule) check(c *content) []Problem {
	if !b.declared {
		return nil
	}
	walk := checker{loc: []any{"body"}}
	switch {
	case c.present:
		if bytes.Contains(c.raw, []byte(escapedNUL)) {
			walk.checkNUL(c.value)
		}
		if len(walk.problems) == 0 {
			c.value = walk.check(c.value, b.rule)
			c.changed = walk.changed
		}
	case b.required:
		walk.report(missing)
	}
	return walk.problems
}

// restore puts the body back for the handler, which decodes it again into its
// own types.
func (c *content) restore(r *http.Request) error {
	switch {
	case !c.rule.declared:
	case !c.present:
		setBody(r, nil)
	case c.changed && !c.rule.form:
		encoded, err := json.Marshal(c.value)
		if err != nil {
			return Internal(err)
		}
		setBody(r, encoded)
	default:
		setBody(r, c.raw)
	}
	return nil
}
