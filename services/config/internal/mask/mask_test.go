package mask_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/parley-dsr/parley/services/config/internal/mask"
)

// secretive is a value that must not be seen.
const secretive = "canary-3f9a"

func TestSecrets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ kind, plain, want string }{
		"nothing":        {"https", ``, ``},
		"https":          {"https", `{"headers":null,"authorization":"x","url":"https://a"}`, `{"url":"https://a","authorization":"**********","headers":null}`},
		"headers":        {"https", `{"url":"u","headers":{"B":"1","A":"2"}}`, `{"url":"u","headers":{"A":"**********","B":"**********"}}`},
		"no headers":     {"https", `{"headers":{}}`, `{"headers":null}`},
		"odd headers":    {"https", `{"headers":"x"}`, `{"headers":"**********"}`},
		"odd url":        {"https", `{"url":{"a":"x"}}`, `{"url":"**********"}`},
		"signing":        {"https", `{"client_key":"k","signing_secret":"s","zeta":1}`, `{"signing_secret":"**********","client_key":"**********","zeta":"**********"}`},
		"another type":   {"postgres", `{"url":"u","port":5432,"host":"h"}`, `{"url":"**********","host":"**********","port":"**********"}`},
		"names are kept": {"postgres", `{"a\"b":1}`, `{"a\"b":"**********"}`},
	} {
		got, err := mask.Secrets(c.kind, []byte(c.plain))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v\nwant %s", name, got, err, c.want)
		}
	}
}

// FuzzSecrets holds that masking shows the names of secrets, the URL of an https
// connection, the names of its headers, and nothing else.
func FuzzSecrets(f *testing.F) {
	f.Add("https", "authorization", `"`+secretive+`"`)
	f.Add("https", "headers", `{"X-Key":"`+secretive+`"}`)
	f.Add("https", "headers", `["`+secretive+`"]`)
	f.Add("https", "url", `{"nested":"`+secretive+`"}`)
	f.Add("https", "url", `"https://www.example.com"`)
	f.Add("postgres", "url", `"`+secretive+`"`)
	f.Add("postgres", "headers", `{"X-Key":"`+secretive+`"}`)
	f.Add("", "a\x00\"b", `{"deep":[1,{"deeper":"`+secretive+`"}]}`)
	f.Fuzz(func(t *testing.T, kind, name, value string) {
		if !json.Valid([]byte(value)) {
			return
		}
		plain, err := json.Marshal(map[string]json.RawMessage{name: json.RawMessage(value), "other": json.RawMessage(`"` + secretive + `"`)})
		if err != nil {
			return
		}
		masked, err := mask.Secrets(kind, plain)
		if err != nil {
			t.Fatalf("a valid object cannot be masked: %v", err)
		}
		var before, after map[string]json.RawMessage
		if json.Unmarshal(masked, &after) != nil || json.Unmarshal(plain, &before) != nil {
			t.Fatalf("not an object: %s", masked)
		}
		if !slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))) {
			t.Fatalf("the names differ: %s", masked)
		}
		for member, shown := range after {
			checkShown(t, kind, member, before[member], shown)
		}
	})
}

func checkShown(t *testing.T, kind, member string, secret, shown json.RawMessage) {
	t.Helper()
	var url string
	var headers map[string]*string
	switch {
	case string(shown) == `"`+mask.Hidden+`"`:
	case kind == "https" && member == "url" && json.Unmarshal(secret, &url) == nil:
	case kind == "https" && member == "headers" && json.Unmarshal(shown, &headers) == nil:
		for _, value := range headers {
			if value == nil || *value != mask.Hidden {
				t.Fatalf("a header is shown: %s", shown)
			}
		}
	default:
		t.Fatalf("%s of %q is shown as %s", member, kind, shown)
	}
	if member != "url" && strings.Contains(string(shown), secretive) && !strings.Contains(headerNames(secret), secretive) {
		t.Fatalf("%s shows its value: %s", member, shown)
	}
}

// headerNames are what may be shown of headers.
func headerNames(secret json.RawMessage) string {
	var members map[string]json.RawMessage
	_ = json.Unmarshal(secret, &members) // what is no object has none
	return strings.Join(slices.Sorted(maps.Keys(members)), " ")
}
