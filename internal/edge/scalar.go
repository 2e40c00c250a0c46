package edge

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// The formats that are more than a description.
const (
	formatKey      = "fides-key"
	formatIdentity = "identity"
	formatTime     = "date-time"
	formatUUID     = "uuid"
)

// maxKey is the greatest length of a key.
const maxKey = 255

func (c *checker) checkText(value any, r *rule) any {
	if r.format == formatTime {
		return c.checkTime(value)
	}
	s, ok := value.(string)
	switch {
	case !ok:
		c.report(finding{"string_type", "Input should be a valid string"})
		return value
	case strings.ContainsRune(s, 0):
		c.report(hasNUL)
		return value
	case !utf8.ValidString(s): // in a path or a query; JSON is UTF-8
		c.report(notUTF8)
		return value
	case r.format == formatUUID:
		return c.checkUUID(s)
	case r.format == formatKey:
		c.checkKey(s)
		return s
	}
	length := utf8.RuneCountInString(s)
	switch {
	case length < r.minLength:
		c.report(finding{"string_too_short", "String should have at least " + count(r.minLength, "character")})
	case r.maxLength >= 0 && length > r.maxLength:
		c.report(finding{"string_too_long", "String should have at most " + count(r.maxLength, "character")})
	case r.pattern != nil && !r.pattern.MatchString(s):
		c.report(finding{"string_pattern_mismatch", "String should match pattern '" + r.pattern.String() + "'"})
	}
	return s
}

// checkKey takes what can be a key. The existing system takes '.', '<' and '>'
// too when a key is made, and fails later: such keys are refused up front, in
// words that name the smaller set; for all others the words are those that
// clients know.
func (c *checker) checkKey(s string) {
	if len(s) > maxKey {
		c.report(finding{"string_too_long", "String should have at most " + count(maxKey, "character")})
		return
	}
	known, ours := s != "", s != ""
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
		case r == '.', r == '<', r == '>':
			ours = false
		default:
			known, ours = false, false
		}
	}
	switch {
	case !known:
		c.report(finding{"value_error",
			"Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. Value provided: " + s})
	case !ours:
		c.report(finding{"value_error",
			"Value error, FidesKeys must only contain alphanumeric characters, '_' or '-'. Value provided: " + s})
	}
}

func (c *checker) checkUUID(s string) any {
	id, err := uuid.Parse(s)
	if err != nil {
		c.report(finding{"uuid_parsing", "Input should be a valid UUID, unable to parse string as a UUID"})
		return s
	}
	if plain := id.String(); plain != s {
		c.changed = true
		return plain
	}
	return s
}

func (c *checker) checkInteger(value any, r *rule) any {
	var plain string
	switch v := value.(type) {
	case json.Number:
		whole, problem := wholeNumber(v.String())
		if problem != nil {
			c.report(*problem)
			return value
		}
		plain = whole
	case string:
		plain = strings.TrimSpace(v)
	default:
		c.report(finding{"int_type", "Input should be a valid integer"})
		return value
	}
	bits := 64
	if r.format == "int32" {
		bits = 32
	}
	whole, err := strconv.ParseInt(plain, 10, bits)
	if err != nil {
		if strings.Trim(strings.TrimLeft(plain, "+-"), "0123456789") == "" && strings.ContainsAny(plain, "0123456789") {
			c.report(finding{"int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size"})
		} else {
			c.report(finding{"int_parsing", "Input should be a valid integer, unable to parse string as an integer"})
		}
		return value
	}
	c.checkBounds(float64(whole), r)
	return c.plainNumber(value, strconv.FormatInt(whole, 10))
}

// wholeNumber gives the digits of a JSON number without a fraction.
func wholeNumber(s string) (string, *finding) {
	if !strings.ContainsAny(s, ".eE") {
		return s, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(f) >= 1<<63 {
		return "", &finding{"int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size"}
	}
	if f != math.Trunc(f) {
		return "", &finding{"int_from_float", "Input should be a valid integer, got a number with a fractional part"}
	}
	return strconv.FormatFloat(f, 'f', 0, 64), nil
}

func (c *checker) checkNumber(value any, r *rule) any {
	var plain string
	switch v := value.(type) {
	case json.Number:
		plain = v.String()
	case string:
		plain = strings.TrimSpace(v)
	default:
		c.report(finding{"float_type", "Input should be a valid number"})
		return value
	}
	f, err := strconv.ParseFloat(plain, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		c.report(finding{"float_parsing", "Input should be a valid number, unable to parse string as a number"})
		return value
	}
	c.checkBounds(f, r)
	if _, already := value.(json.Number); already {
		return value
	}
	return c.plainNumber(value, strconv.FormatFloat(f, 'g', -1, 64))
}

func (c *checker) checkBounds(f float64, r *rule) {
	for _, b := range r.bounds {
		if !b.holds(f) {
			c.report(finding{b.kind, b.msg})
			return
		}
	}
}

func (c *checker) plainNumber(value any, plain string) any {
	if given, ok := value.(json.Number); ok && given.String() == plain {
		return value
	}
	c.changed = true
	return json.Number(plain)
}

func (c *checker) checkBoolean(value any) any {
	var word string
	switch v := value.(type) {
	case bool:
		return v
	case json.Number:
		word = v.String()
	case string:
		word = strings.ToLower(v)
	default:
		c.report(finding{"bool_type", "Input should be a valid boolean"})
		return value
	}
	switch word {
	case "true", "t", "yes", "y", "on", "1":
		c.changed = true
		return true
	case "false", "f", "no", "n", "off", "0":
		c.changed = true
		return false
	}
	c.report(finding{"bool_parsing", "Input should be a valid boolean, unable to interpret input"})
	return value
}

// checkTime takes RFC 3339 and its relatives: a blank for the T, no zone (UTC),
// no seconds, a date alone, and seconds since 1970.
func (c *checker) checkTime(value any) any {
	if seconds, ok := value.(json.Number); ok {
		f, err := strconv.ParseFloat(seconds.String(), 64)
		if err != nil || math.Abs(f) > 253402300799 { // the end of the year 9999
			c.report(finding{"datetime_parsing", "Input should be a valid datetime, year is out of range"})
			return value
		}
		c.changed = true
		return time.UnixMicro(int64(f * 1e6)).UTC().Format(time.RFC3339Nano)
	}
	s, ok := value.(string)
	if !ok {
		c.report(finding{"datetime_type", "Input should be a valid datetime"})
		return value
	}
	if _, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return s
	}
	at, err := lenientTime(strings.TrimSpace(s))
	if err != nil {
		c.report(finding{"datetime_parsing", "Input should be a valid datetime, unable to parse string as a datetime"})
		return value
	}
	c.changed = true
	return at.UTC().Format(time.RFC3339Nano)
}

func lenientTime(s string) (time.Time, error) {
	s = strings.ToUpper(s)
	if len(s) > 10 && (s[10] == ' ' || s[10] == '_') {
		s = s[:10] + "T" + s[11:]
	}
	for _, layout := range []string{
		"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05",
		"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02",
	} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("edge: not a time")
}
