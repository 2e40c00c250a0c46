package process

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Environ is the environment of this process as a map.
func Environ() map[string]string { return env.ToMap(os.Environ()) }

// Load reads the settings T from environ. What environ does not set comes from
// the defaults, the first map first (a binary's own, such as its address), then
// from the envDefault tags. An empty variable counts as not set.
//
// The error is one line: every wrong variable and what it takes, never what it
// held. Validate of T, and of the structs embedded in it, is called when all
// variables could be read.
func Load[T any](environ map[string]string, defaults ...map[string]string) (T, error) {
	var settings T
	fields := settingFields(reflect.TypeFor[T]())
	environ = merge(environ, defaults)
	err := env.ParseWithOptions(&settings, env.Options{
		Environment: environ,
		FuncMap: map[reflect.Type]env.ParserFunc{
			reflect.TypeFor[[]netip.Prefix](): func(v string) (any, error) { return parseNetworks(v) },
		},
	})
	wrong := readable(err, fields)
	if len(wrong) == 0 {
		wrong = append(outOfBounds(reflect.ValueOf(settings), fields, environ), validate(&settings)...)
	}
	if len(wrong) > 0 {
		var none T
		return none, wrong
	}
	return settings, nil
}

// merge lays environ over the defaults and leaves out what is empty.
func merge(environ map[string]string, defaults []map[string]string) map[string]string {
	merged := make(map[string]string, len(environ))
	for _, layer := range append([]map[string]string{environ}, defaults...) {
		for name, value := range layer {
			if value = strings.TrimSpace(value); value != "" && merged[name] == "" {
				merged[name] = value
			}
		}
	}
	return merged
}

// parseNetworks reads "10.0.0.0/8, 192.0.2.1": networks, or single addresses.
func parseNetworks(list string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		if addr, err := netip.ParseAddr(item); err == nil {
			networks = append(networks, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(item)
		if err != nil {
			return nil, errors.New("not a network")
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// field is a variable as its struct field describes it.
type field struct {
	name   string // of the struct field
	key    string // of the variable
	index  []int
	typ    reflect.Type
	takes  string
	def    string
	secret string
	min    string
	max    string
}

// settingFields lists the variables of a settings struct in the order of its
// fields, those of embedded structs included.
func settingFields(t reflect.Type) []field {
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		key, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		if key == "" || key == "-" {
			continue
		}
		fields = append(fields, field{
			name: f.Name, key: key, index: f.Index, typ: f.Type, takes: f.Tag.Get("takes"),
			def: f.Tag.Get("envDefault"), secret: f.Tag.Get("secret"), min: f.Tag.Get("min"), max: f.Tag.Get("max"),
		})
	}
	return fields
}

// readable turns the parser's errors, which name struct fields and repeat
// values, into ours.
func readable(err error, fields []field) settingErrors {
	if err == nil {
		return nil
	}
	var all env.AggregateError
	if !errors.As(err, &all) {
		return settingErrors{err}
	}
	var wrong settingErrors
	for _, err := range all.Errors {
		wrong = append(wrong, readableOne(err, fields))
	}
	return wrong
}

func readableOne(err error, fields []field) error {
	var notRead env.ParseError
	if errors.As(err, &notRead) {
		if f, ok := find(fields, func(f field) bool { return f.name == notRead.Name }); ok {
			return Takes(f.key, f.describe())
		}
	}
	var missing env.VarIsNotSetError
	if errors.As(err, &missing) {
		if f, ok := find(fields, func(f field) bool { return f.key == missing.Key }); ok {
			return NotSet(f.key, f.describe())
		}
	}
	return fmt.Errorf("settings: %T", err) // a mistake in the tags, not in the environment
}

func find(fields []field, is func(field) bool) (field, bool) {
	i := slices.IndexFunc(fields, is)
	if i < 0 {
		return field{}, false
	}
	return fields[i], true
}

// describe says what the variable takes.
func (f field) describe() string {
	what := f.takes
	if what == "" {
		what = describeType(f.typ)
	}
	switch {
	case f.min != "" && f.max != "":
		what += " from " + f.min + " to " + f.max
	case f.min != "":
		what += ", at least " + f.min
	case f.max != "":
		what += ", at most " + f.max
	}
	return what
}

func describeType(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "a duration such as 30s, 15m or 24h"
	case reflect.TypeFor[[]netip.Prefix]():
		return "networks separated by commas, such as 10.0.0.0/8,192.0.2.7"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint, reflect.Uint64, reflect.Uint32:
		return "a whole number"
	case reflect.Float64, reflect.Float32:
		return "a number"
	case reflect.Slice:
		return "a list separated by commas"
	}
	return "a text"
}

// outOfBounds checks the min and max tags of the variables that are set. A
// duration must be longer than nothing, unless its min says otherwise.
func outOfBounds(settings reflect.Value, fields []field, environ map[string]string) settingErrors {
	var wrong settingErrors
	for _, f := range fields {
		value := settings.FieldByIndex(f.index)
		if environ[f.key] != "" && value.CanInt() && !f.within(value.Int()) {
			wrong = append(wrong, Takes(f.key, f.describe()))
		}
	}
	return wrong
}

func (f field) within(n int64) bool {
	if f.typ == reflect.TypeFor[time.Duration]() && f.min == "" && n <= 0 {
		return false
	}
	if low, ok := f.bound(f.min); ok && n < low {
		return false
	}
	high, ok := f.bound(f.max)
	return !ok || n <= high
}

func (f field) bound(tag string) (int64, bool) {
	if tag == "" {
		return 0, false
	}
	if f.typ == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(tag)
		return int64(d), err == nil
	}
	n, err := strconv.ParseInt(tag, 10, 64)
	return n, err == nil
}

type validator interface{ Validate() error }

// validate asks the embedded structs, then the settings themselves. One that
// has no Validate of its own answers with that of the struct in it, so equal
// texts are dropped.
func validate(settings any) settingErrors {
	var wrong settingErrors
	add := func(err error) {
		for _, err := range flatten(err) {
			if !slices.ContainsFunc(wrong, func(have error) bool { return have.Error() == err.Error() }) {
				wrong = append(wrong, err)
			}
		}
	}
	value := reflect.ValueOf(settings).Elem()
	if value.Kind() == reflect.Struct {
		for i := range value.NumField() {
			if f := value.Type().Field(i); !f.Anonymous || !f.IsExported() {
				continue
			}
			if v, ok := value.Field(i).Addr().Interface().(validator); ok {
				add(v.Validate())
			}
		}
	}
	if v, ok := settings.(validator); ok {
		add(v.Validate())
	}
	return wrong
}

// flatten lists the errors that were joined into one.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, err := range joined.Unwrap() {
			all = append(all, flatten(err)...)
		}
		return all
	}
	return []error{err}
}
