package edge_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/edge"
)

// problems reads the list of a 422.
func problems(t *testing.T, body []byte) []string {
	t.Helper()
	var answer struct {
		Detail []map[string]any `json:"detail"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	var lines []string
	for _, p := range answer.Detail {
		if len(p) != 3 {
			t.Errorf("more than type, loc and msg: %v", p)
		}
		loc, _ := json.Marshal(p["loc"])
		lines = append(lines, p["type"].(string)+" "+string(loc)+" "+p["msg"].(string))
	}
	return lines
}

// One row for each wording. The member's name is the schema's property.
func TestWording(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const (
		intParsing = `int_parsing ["body","whole"] Input should be a valid integer, unable to parse string as an integer`
		boolParse  = `bool_parsing ["body","truth"] Input should be a valid boolean, unable to interpret input`
		keyText    = `value_error ["body","key"] Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. Value provided: `
		notTime    = `datetime_parsing ["body","at"] Input should be a valid datetime, unable to parse string as a datetime`
	)
	for body, want := range map[string]string{
		`{}`:                             `too_short ["body"] Dictionary should have at least 1 item after validation, not 0`,
		`[]`:                             `model_attributes_type ["body"] Input should be a valid dictionary or object to extract fields from`,
		`"x"`:                            `model_attributes_type ["body"] Input should be a valid dictionary or object to extract fields from`,
		`{"other":1}`:                    `extra_forbidden ["body","other"] Extra inputs are not permitted`,
		`{"text":1}`:                     `string_type ["body","text"] Input should be a valid string`,
		`{"text":null}`:                  `string_type ["body","text"] Input should be a valid string`,
		`{"text":""}`:                    `string_too_short ["body","text"] String should have at least 1 character`,
		`{"text":"äöüäöü"}`:              `string_too_long ["body","text"] String should have at most 5 characters`,
		`{"text":"a\u0000"}`:             `value_error ["body","text"] Value error, NUL characters are not allowed`,
		`{"matching":"b"}`:               `string_pattern_mismatch ["body","matching"] String should match pattern '^a+$'`,
		`{"whole":"x"}`:                  intParsing,
		`{"whole":""}`:                   intParsing,
		`{"whole":"1.5"}`:                intParsing,
		`{"whole":1.5}`:                  `int_from_float ["body","whole"] Input should be a valid integer, got a number with a fractional part`,
		`{"whole":true}`:                 `int_type ["body","whole"] Input should be a valid integer`,
		`{"whole":[]}`:                   `int_type ["body","whole"] Input should be a valid integer`,
		`{"whole":null}`:                 `int_type ["body","whole"] Input should be a valid integer`,
		`{"whole":-1}`:                   `greater_than_equal ["body","whole"] Input should be greater than or equal to 0`,
		`{"whole":11}`:                   `less_than_equal ["body","whole"] Input should be less than or equal to 10`,
		`{"whole":99999999999999999999}`: `int_parsing_size ["body","whole"] Unable to parse input string as an integer, exceeded maximum size`,
		`{"whole":1e400}`:                `int_parsing_size ["body","whole"] Unable to parse input string as an integer, exceeded maximum size`,
		`{"small":2147483648}`:           `int_parsing_size ["body","small"] Unable to parse input string as an integer, exceeded maximum size`,
		`{"open":0}`:                     `greater_than ["body","open"] Input should be greater than 0`,
		`{"open":1}`:                     `less_than ["body","open"] Input should be less than 1`,
		`{"open":"x"}`:                   `float_parsing ["body","open"] Input should be a valid number, unable to parse string as a number`,
		`{"open":{}}`:                    `float_type ["body","open"] Input should be a valid number`,
		`{"truth":"maybe"}`:              boolParse,
		`{"truth":2}`:                    boolParse,
		`{"truth":[]}`:                   `bool_type ["body","truth"] Input should be a valid boolean`,
		`{"one":"x"}`:                    `enum ["body","one"] Input should be 'only'`,
		`{"three":"d"}`:                  `enum ["body","three"] Input should be 'a', 'b' or 'c'`,
		`{"three":1}`:                    `enum ["body","three"] Input should be 'a', 'b' or 'c'`,
		`{"three":null}`:                 `enum ["body","three"] Input should be 'a', 'b' or 'c'`,
		`{"at":"soon"}`:                  notTime,
		`{"at":"2026-13-01"}`:            notTime,
		`{"at":true}`:                    `datetime_type ["body","at"] Input should be a valid datetime`,
		`{"at":1e300}`:                   `datetime_parsing ["body","at"] Input should be a valid datetime, year is out of range`,
		`{"id":"x"}`:                     `uuid_parsing ["body","id"] Input should be a valid UUID, unable to parse string as a UUID`,
		`{"key":"a b"}`:                  keyText + `a b`,
		`{"key":""}`:                     keyText,
		`{"key":"ä"}`:                    keyText + `ä`,
		`{"key":"a.b"}`:                  `value_error ["body","key"] Value error, FidesKeys must only contain alphanumeric characters, '_' or '-'. Value provided: a.b`,
		`{"key":"` + strings.Repeat("a", 256) + `"}`: `string_too_long ["body","key"] String should have at most 255 characters`,
		`{"list":"x"}`:                  `list_type ["body","list"] Input should be a valid list`,
		`{"list":[]}`:                   `too_short ["body","list"] List should have at least 1 item after validation, not 0`,
		`{"list":["x","x","x"]}`:        `too_long ["body","list"] List should have at most 2 items after validation, not 3`,
		`{"list":[1,"x"]}`:              `int_parsing ["body","list",1] Input should be a valid integer, unable to parse string as an integer`,
		`{"nested":{}}`:                 `missing ["body","nested","name"] Field required`,
		`{"map":1}`:                     `dict_type ["body","map"] Input should be a valid dictionary`,
		`{"map":{"a":"x"}}`:             `int_parsing ["body","map","a"] Input should be a valid integer, unable to parse string as an integer`,
		`{"anything":{"a":["\u0000"]}}`: `value_error ["body","anything","a",0] Value error, NUL characters are not allowed`,
		`{"tree":{"children":[{"children":[{"label":1}]}]}}`: `string_type ["body","tree","children",0,"children",0,"label"] Input should be a valid string`,
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			w := setupSharing(t, b).send(http.MethodPatch, "/thing/k1", body)
			if w.Code != http.StatusUnprocessableEntity {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if diff := cmp.Diff([]string{want}, problems(t, w.Body.Bytes())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What a lenient reader understands reaches the handler in its plain form;
// everything else reaches it byte by byte.
func TestLenience(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for body, want := range map[string]string{
		`{ "text": "<a>" , "nullable":null}`:        `{ "text": "<a>" , "nullable":null}`,
		`{"anything":{"a":1e400}}`:                  `{"anything":{"a":1e400}}`,
		`{"whole":"7"}`:                             `{"whole":7}`,
		`{"whole":7.0}`:                             `{"whole":7}`,
		`{"open":"0.5"}`:                            `{"open":0.5}`,
		`{"truth":"Yes"}`:                           `{"truth":true}`,
		`{"truth":0}`:                               `{"truth":false}`,
		`{"at":"2026-05-01T08:00:00.5Z"}`:           `{"at":"2026-05-01T08:00:00.5Z"}`,
		`{"at":"2026-05-01T08:00:00.5"}`:            `{"at":"2026-05-01T08:00:00.5Z"}`,
		`{"at":"2026-05-01 10:00+02:00"}`:           `{"at":"2026-05-01T08:00:00Z"}`,
		`{"at":"2026-05-01"}`:                       `{"at":"2026-05-01T00:00:00Z"}`,
		`{"at":1777622400}`:                         `{"at":"2026-05-01T08:00:00Z"}`,
		`{"id":"051B219F20E445DF82F75EB68A00889F"}`: `{"id":"051b219f-20e4-45df-82f7-5eb68a00889f"}`,
		`{"list":["1",2]}`:                          `{"list":[1,2]}`,
		`{"map":{"a":"1"}}`:                         `{"map":{"a":1}}`,
	} {
		if s := b.reached(http.MethodPatch, "/thing/k1", body); s.Body != want {
			t.Errorf("%s: %s", body, s.Body)
		}
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"} {
		b.reached(http.MethodPatch, "/thing/k1", `{"text":"a"}`, "Content-Type", contentType)
	}
}

func TestAllProblemsInOneList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rootToken := b.access(root, edge.AllScopes(), nil)
	w := b.send("PUT", "/thing?dry=maybe", `[{"name":1,"key":"ok","zzz":1},{"direction":"both","identity":{"email":"x","phone_number":"1"},"key":"a b"}]`,
		"Authorization", rootToken)
	want := []string{
		`bool_parsing ["query","dry"] Input should be a valid boolean, unable to interpret input`,
		`string_type ["body",0,"name"] Input should be a valid string`,
		`missing ["body",0,"direction"] Field required`,
		`missing ["body",1,"name"] Field required`,
		`value_error ["body",1,"key"] Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. Value provided: a b`,
		`enum ["body",1,"direction"] Input should be 'one_way' or 'two_way'`,
		`value_error ["body",1,"identity","phone_number"] Value error, Phone number must be formatted in E.164 format, i.e. '+15558675309'.`,
		`value_error ["body",1,"identity","email"] value is not a valid email address: An email address must have an @-sign.`,
	}
	if diff := cmp.Diff(want, problems(t, w.Body.Bytes())); diff != "" {
		t.Error(diff)
	}
	w = b.send("PUT", "/thing?dry=1", `[{},{},{},{}]`, "Authorization", rootToken)
	wantRefusal(t, w, 422, `{"detail":[{"type":"too_long","loc":["body"],"msg":"List should have at most 3 items after validation, not 4"}]}`)
	w = b.send("PUT", "/thing?dry=1", `{}`, "Authorization", rootToken)
	wantRefusal(t, w, 422, `{"detail":[{"type":"list_type","loc":["body"],"msg":"Input should be a valid list"}]}`)
}

// Neither many problems nor deep nesting makes a small body expensive.
func TestProblemsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *edge.Config) { c.MaxBody = 1 << 20 })
	many := `{"tree":{"children":[` + strings.Repeat("1,", 100_000) + `1]}}`
	if got := problems(t, b.send("PATCH", "/thing/k1", many).Body.Bytes()); len(got) != 1000 {
		t.Errorf("%d problems", len(got))
	}
	deep := strings.Repeat(`{"or":[`, 2000) + `{"value":"x"}` + strings.Repeat(`]}`, 2000)
	got := problems(t, b.send("POST", "/condition", deep).Body.Bytes())
	if len(got) != 1 || !strings.HasPrefix(got[0], "missing") {
		t.Errorf("%d problems", len(got))
	}
}

func TestUnion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for body, want := range map[string]string{
		`[{"name":"a"}]`:                       `[{"name":"a"}]`,
		`{"items":[{"name":"a"}],"total":1}`:   `{"items":[{"name":"a"}],"total":1}`,
		`{"items":[{"name":"a","count":"1"}]}`: `{"items":[{"count":1,"name":"a"}]}`,
	} {
		if s := b.reached("POST", "/union", body); s.Body != want {
			t.Errorf("%s: %s", body, s.Body)
		}
	}
	for body, want := range map[string]string{
		`[{}]`:           `missing ["body",0,"name"] Field required`,
		`{}`:             `missing ["body","items"] Field required`,
		`{"items":[{}]}`: `missing ["body","items",0,"name"] Field required`,
		`"x"`:            `list_type ["body"] Input should be a valid list`,
	} {
		if diff := cmp.Diff([]string{want}, problems(t, b.send("POST", "/union", body).Body.Bytes())); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rootToken := b.access(root, nil, []string{edge.RoleOwner})
	for query, want := range map[string]string{
		"page=0":                  `greater_than_equal ["query","page"] Input should be greater than or equal to 1`,
		"size=101":                `less_than_equal ["query","size"] Input should be less than or equal to 100`,
		"page=x":                  `int_parsing ["query","page"] Input should be a valid integer, unable to parse string as an integer`,
		"page=":                   `int_parsing ["query","page"] Input should be a valid integer, unable to parse string as an integer`,
		"status=pending&status=x": `enum ["query","status",1] Input should be 'pending', 'complete' or 'error'`,
		"disabled=maybe":          `bool_parsing ["query","disabled"] Input should be a valid boolean, unable to interpret input`,
		"search=%ff":              `value_error ["query","search"] Value error, the text should be UTF-8`,
		"since=soon":              `datetime_parsing ["query","since"] Input should be a valid datetime, unable to parse string as a datetime`,
	} {
		w := b.send("GET", "/thing?"+query, "", "Authorization", rootToken)
		if diff := cmp.Diff([]string{want}, problems(t, w.Body.Bytes())); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	for query, want := range map[string]string{
		"page=2&size=100&unknown=%":       "page=2&size=100",
		"status=pending&status=error&x=1": "status=pending&status=error&x=1",
		"disabled=yes":                    "disabled=true",
		"page=1&page=3":                   "page=3",
		"since=2026-05-01":                "since=2026-05-01T00%3A00%3A00Z",
	} {
		if s := b.reached("GET", "/thing?"+query, "", "Authorization", rootToken); s.Query != want {
			t.Errorf("%s: %s", query, s.Query)
		}
	}
}

// Some clients send an empty Last-Event-ID before they have seen an event.
func TestEmptyHeader(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rootToken := b.access(root, nil, []string{edge.RoleOwner})
	b.reached("GET", "/thing", "", "Authorization", rootToken, "Last-Event-ID", "")
	b.reached("GET", "/thing", "", "Authorization", rootToken, "Last-Event-ID", "7")
	w := b.send("GET", "/thing", "", "Authorization", rootToken, "Last-Event-ID", "x")
	want := `int_parsing ["header","Last-Event-ID"] Input should be a valid integer, unable to parse string as an integer`
	if diff := cmp.Diff([]string{want}, problems(t, w.Body.Bytes())); diff != "" {
		t.Error(diff)
	}
}

func TestForm(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const form = "application/x-www-form-urlencoded"
	const body = "client_id=a&grant_type=client_credentials&other=1"
	for _, contentType := range []string{form, form + "; charset=utf-8", ""} {
		if s := b.reached("POST", "/form", body, "Content-Type", contentType); s.Body != body {
			t.Errorf("%s: %s", contentType, s.Body)
		}
	}
	for body, want := range map[string][]string{
		"":                                {`missing ["body","client_id"] Field required`},
		"client_id=":                      {`missing ["body","client_id"] Field required`},
		"client_id=a&grant_type=password": {`string_pattern_mismatch ["body","grant_type"] String should match pattern 'client_credentials'`},
	} {
		w := b.send("POST", "/form", body, "Content-Type", form)
		if diff := cmp.Diff(want, problems(t, w.Body.Bytes())); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	if s := b.reached("POST", "/form", "client_id=a&grant_type=", "Content-Type", form); s.Body == "" {
		t.Error("an empty field counts")
	}
	if w := b.send("POST", "/form", "client_id=%", "Content-Type", form); w.Code != http.StatusBadRequest {
		t.Errorf("malformed form: %d", w.Code)
	}
	if w := b.send("POST", "/form", `{"client_id":"a"}`, "Content-Type", "application/json"); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("JSON in place of a form: %d", w.Code)
	}
}

func TestOptionalBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, body := range []string{"", "null"} {
		if s := b.reached("POST", "/thing", body); s.Body != "" {
			t.Errorf("%q: %q", body, s.Body)
		}
	}
	if s := b.reached("GET", "/thing/k1", "{ not read"); s.Body != "{ not read" {
		t.Errorf("undeclared body: %q", s.Body)
	}
}

func TestChecks(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *edge.Config) {
		c.Checks = map[string]func(any) []edge.Problem{"createThing": func(body any) []edge.Problem {
			if body.(map[string]any)["name"] == "forbidden" {
				return []edge.Problem{{Type: "value_error", Loc: []any{"body"}, Msg: "Value error, not this name"}}
			}
			return nil
		}}
	})
	w := b.send("POST", "/thing", `{"name":"forbidden","direction":"one_way"}`)
	wantRefusal(t, w, 422, `{"detail":[{"type":"value_error","loc":["body"],"msg":"Value error, not this name"}]}`)
	w = b.send("POST", "/thing", `{"name":"forbidden"}`)
	if got := problems(t, w.Body.Bytes()); len(got) != 1 || !strings.HasPrefix(got[0], "missing") {
		t.Errorf("a rule was asked about a body that does not fit: %v", got)
	}
	b.reached("POST", "/thing", `{"name":"allowed","direction":"one_way"}`)
	b.reached("POST", "/thing", "")
}

// A document that cannot be honoured is refused at the start.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	const head = "openapi: 3.0.3\ninfo: {title: t, version: '1'}\npaths:\n  /api/v1/x:\n    post:\n"
	const tail = "      responses: {'200': {description: d}}\n"
	for name, spec := range map[string]string{
		"not a document":    "x",
		"no operation id":   head + tail,
		"two securities":    head + "      operationId: a\n      security: [{oauth2: []}, {}]\n" + tail + "components: {securitySchemes: {oauth2: {type: http, scheme: bearer}}}\n",
		"unknown security":  head + "      operationId: a\n      security: [{basic: []}]\n" + tail + "components: {securitySchemes: {basic: {type: http, scheme: basic}}}\n",
		"two kinds of body": head + "      operationId: a\n      requestBody: {content: {application/json: {}, application/x-www-form-urlencoded: {}}}\n" + tail,
		"bad pattern":       head + "      operationId: a\n      requestBody: {content: {application/json: {schema: {type: string, pattern: '('}}}}\n" + tail,
	} {
		if _, err := edge.New(edge.Config{Spec: []byte(spec)}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	spec, err := os.ReadFile("testdata/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	checks := map[string]func(any) []edge.Problem{"unknown": nil}
	if _, err := edge.New(edge.Config{Spec: spec, Checks: checks}); err == nil {
		t.Error("a check of an operation that is not there: accepted")
	}
}

// Whatever is sent as a body, the answer is a 200 or a list of problems, and
// what reaches the handler is JSON.
func FuzzBody(f *testing.F) {
	for _, body := range []string{`{"text":"a"}`, `{"list":["1"],"at":1}`, `{"tree":{"children":[{}]}}`, `[`, `{"map":{"":null}}`, `{"whole":1e5}`} {
		f.Add(body)
	}
	shared := setup(f, func(c *edge.Config) { c.Logger = nil })
	f.Fuzz(func(t *testing.T, body string) {
		w := setupSharing(t, shared).send(http.MethodPatch, "/thing/k1", body)
		switch w.Code {
		case http.StatusOK:
			var s seen
			if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || !json.Valid([]byte(s.Body)) {
				t.Errorf("%q reached the handler as %q", body, s.Body)
			}
		case http.StatusUnprocessableEntity:
			if len(problems(t, w.Body.Bytes())) == 0 {
				t.Errorf("%q: no problems", body)
			}
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		default:
			t.Errorf("%q: %d", body, w.Code)
		}
	})
}
