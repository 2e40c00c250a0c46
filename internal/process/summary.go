package process

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
)

// Summary is the settings as a log value, one attribute a variable. Of a secret
// it says only whether it is configured; of a URL it leaves out the user.
func Summary(settings any) slog.Value {
	value := reflect.Indirect(reflect.ValueOf(settings))
	var attrs []slog.Attr
	for _, f := range settingFields(value.Type()) {
		attrs = append(attrs, slog.Any(f.key, f.show(value.FieldByIndex(f.index))))
	}
	return slog.GroupValue(attrs...)
}

func (f field) show(value reflect.Value) any {
	switch f.secret {
	case "":
		return fmt.Sprint(value.Interface())
	case "url":
		return RedactURL(fmt.Sprint(value.Interface()))
	default:
		return fmt.Sprintf("configured: %t", !value.IsZero())
	}
}

// RedactURL is a URL, or a list of them, without user, password and query. What
// cannot be read as a URL is not shown.
func RedactURL(list string) string {
	var shown []string
	for raw := range strings.SplitSeq(list, ",") {
		raw = strings.TrimSpace(raw)
		if raw == "" {
			continue
		}
		if !strings.Contains(raw, "://") {
			raw = "nats://" + raw
		}
		u, err := url.Parse(raw)
		if err != nil {
			return "configured: true"
		}
		u.User, u.RawQuery, u.Fragment = nil, "", ""
		shown = append(shown, u.String())
	}
	return strings.Join(shown, ",")
}

// PrintSettings writes the variables of the settings T, their defaults and what
// they take.
func PrintSettings[T any](w io.Writer, defaults ...map[string]string) {
	preset := merge(nil, defaults)
	for _, f := range settingFields(reflect.TypeFor[T]()) {
		def := f.def
		if preset[f.key] != "" {
			def = preset[f.key]
		}
		if def != "" {
			def = " (default " + def + ")"
		}
		_, _ = fmt.Fprintf(w, "  %s\n      %s%s\n", f.key, f.describe(), def)
	}
}
