package eventstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/parley-dsr/parley/pkg/events"
)

const (
	documentFile = "../../../docs/asyncapi.yaml"
	documentURL  = "https://parley-dsr.dev/asyncapi.json"
)

type object = map[string]any

// document is docs/asyncapi.yaml.
type document struct {
	t       *testing.T
	root    any
	schemas *jsonschema.Compiler
}

func openDocument(t *testing.T) *document {
	t.Helper()
	text, err := os.ReadFile(documentFile)
	if err != nil {
		t.Fatal(err)
	}
	var parsed any
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		t.Fatal(err)
	}
	d := &document{t: t, root: asJSON(t, parsed), schemas: jsonschema.NewCompiler()}
	d.schemas.DefaultDraft(jsonschema.Draft7)
	d.schemas.AssertFormat()
	if err := d.schemas.AddResource(documentURL, d.root); err != nil {
		t.Fatal(err)
	}
	return d
}

// asJSON is a value as it comes out of JSON.
func asJSON(t *testing.T, value any) any {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// at is what a pointer leads to, nil for nothing.
func (d *document) at(pointer string) any {
	here := d.root
	for key := range strings.SplitSeq(strings.TrimPrefix(pointer, "#/"), "/") {
		inside, _ := here.(object)
		here = inside[key]
	}
	return here
}

func (d *document) object(pointer string) object {
	o, _ := d.at(pointer).(object)
	return o
}

// schema compiles what a pointer leads to.
func (d *document) schema(pointer string) *jsonschema.Schema {
	d.t.Helper()
	s, err := d.schemas.Compile(documentURL + pointer)
	if err != nil {
		d.t.Fatalf("%s: %v", pointer, err)
	}
	return s
}

// TestDocumentIsAsyncAPI checks the document against the schema of AsyncAPI,
// that every reference leads somewhere, and that the examples are ones.
func TestDocumentIsAsyncAPI(t *testing.T) {
	t.Parallel()
	d := openDocument(t)
	text, err := os.ReadFile("testdata/asyncapi-3.0.0.json")
	if err != nil {
		t.Fatal(err)
	}
	meta, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("asyncapi-3.0.0.json", meta); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("asyncapi-3.0.0.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(d.root); err != nil {
		t.Errorf("%s is no AsyncAPI document: %v", documentFile, err)
	}
	if err := schema.Validate(object{"asyncapi": "3.0.0", "channels": object{}}); err == nil {
		t.Error("a document without info is taken for one of AsyncAPI")
	}
	for where, pointer := range references("#", d.root) {
		if d.at(pointer) == nil {
			t.Errorf("%s refers to %s, which is not there", where, pointer)
		}
	}
	for name := range d.object("#/components/messages") {
		payload := d.schema("#/components/messages/" + name + "/payload")
		examples, _ := d.at("#/components/messages/" + name + "/examples").([]any)
		for i, example := range examples {
			if err := payload.Validate(example.(object)["payload"]); err != nil {
				t.Errorf("example %d of %s: %v", i, name, err)
			}
		}
	}
}

// references yields every reference with the place where it stands.
func references(where string, node any) map[string]string {
	found := map[string]string{}
	switch node := node.(type) {
	case object:
		for key, value := range node {
			if text, ok := value.(string); ok && key == "$ref" {
				found[where] = text
				continue
			}
			maps.Copy(found, references(where+"/"+key, value))
		}
	case []any:
		for i, value := range node {
			maps.Copy(found, references(fmt.Sprint(where, "/", i), value))
		}
	}
	return found
}

// channelOf gives the name of a channel and what every type of its facts has
// for data.
func channelOf(eventType string) (channel string, data any) {
	noun, _, _ := strings.Cut(strings.TrimPrefix(eventType, "dev.parley."), ".")
	switch noun {
	case "request":
		return "requestFacts", &events.RequestData{}
	case "webhook":
		return "webhookFacts", &events.WebhookData{}
	case "callback":
		return "callbackFacts", &events.CallbackData{}
	case "execution":
		return "executionFacts", &events.ExecutionData{}
	case "config":
		return "configFacts", &events.ConfigData{}
	}
	return "", nil
}

// TestEveryTypeIsAMessage takes every type that the package knows: the document
// has a message for it, in a channel with its subject, and a fact of the type,
// as it goes over the wire, fits headers and payload of that message and of no
// other.
func TestEveryTypeIsAMessage(t *testing.T) {
	t.Parallel()
	d := openDocument(t)
	messages := map[string]string{} // by type
	for name := range d.object("#/components/messages") {
		if eventType, _ := d.at("#/components/messages/" + name + "/name").(string); strings.HasPrefix(eventType, "dev.parley.") {
			messages[eventType] = name
		}
	}
	types := constants(t, "..", "", "dev.parley.")
	for _, eventType := range types {
		name, ok := messages[eventType]
		if !ok {
			t.Errorf("%s has no message", eventType)
			continue
		}
		d.checkFact(eventType, name)
	}
	for eventType := range messages {
		if !slices.Contains(types, eventType) {
			t.Errorf("there is no type %s any more", eventType)
		}
	}
}

func (d *document) checkFact(eventType, name string) {
	d.t.Helper()
	channel, data := channelOf(eventType)
	fill(reflect.ValueOf(data).Elem())
	e, err := events.New(events.SourceOrchestrator, eventType, "pri_1.1.ep.0", "pri_1", time.Now(), data)
	if err != nil {
		d.t.Fatal(err)
	}
	events.SetTraceParent(&e, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	msg, err := events.Encode(e)
	if err != nil {
		d.t.Fatal(err)
	}
	headers := object{}
	for key, values := range msg.Header {
		headers[key] = values[0]
	}
	if err := d.schema("#/components/messages/" + name + "/headers").Validate(headers); err != nil {
		d.t.Errorf("headers of %s: %v", eventType, err)
	}
	payload, err := jsonschema.UnmarshalJSON(bytes.NewReader(msg.Data))
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.schema("#/components/messages/" + name + "/payload").Validate(payload); err != nil {
		d.t.Errorf("data of %s: %v", eventType, err)
	}
	if ref, _ := d.at("#/channels/" + channel + "/messages/" + name + "/$ref").(string); ref != "#/components/messages/"+name {
		d.t.Errorf("%s is not in the channel %s", eventType, channel)
	}
	if !d.address(channel).MatchString(msg.Subject) {
		d.t.Errorf("%s is not an address of the channel %s", msg.Subject, channel)
	}
}

// address gives the address of a channel as an expression.
func (d *document) address(channel string) *regexp.Regexp {
	address, _ := d.at("#/channels/" + channel + "/address").(string)
	parameter := regexp.MustCompile(`\{(\w+)\}`)
	pattern := parameter.ReplaceAllStringFunc(strings.ReplaceAll(address, ".", `\.`), func(name string) string {
		values, _ := d.at("#/channels/" + channel + "/parameters/" + strings.Trim(name, "{}") + "/enum").([]any)
		if len(values) == 0 {
			return `[A-Za-z0-9_-]+`
		}
		words := make([]string, len(values))
		for i, value := range values {
			words[i] = regexp.QuoteMeta(fmt.Sprint(value))
		}
		return "(" + strings.Join(words, "|") + ")"
	})
	return regexp.MustCompile("^" + pattern + "$")
}

// TestSchemasAreTheTypes compares the schemas with the types, field by field:
// neither has one that the other lacks, what a type always writes is required,
// and values with everything, with nothing, and with any required field missing
// are told apart.
func TestSchemasAreTheTypes(t *testing.T) {
	t.Parallel()
	d := openDocument(t)
	for name, value := range map[string]any{
		"RequestData": &events.RequestData{}, "WebhookData": &events.WebhookData{}, "CallbackData": &events.CallbackData{},
		"ExecutionData": &events.ExecutionData{}, "ConfigData": &events.ConfigData{}, "Execution": &events.Execution{},
		"IdentityQuestion": &events.IdentityQuestion{}, "IdentityAnswer": &events.IdentityAnswer{},
	} {
		pointer := "#/components/schemas/" + name
		d.compare(name, reflect.TypeOf(value).Elem(), d.object(pointer))
		schema := d.schema(pointer)
		fill(reflect.ValueOf(value).Elem())
		whole, _ := asJSON(t, value).(object)
		if err := schema.Validate(whole); err != nil {
			t.Errorf("%s with everything: %v", name, err)
		}
		for _, field := range required(d.object(pointer)) {
			without := maps.Clone(whole)
			delete(without, field)
			if schema.Validate(without) == nil {
				t.Errorf("%s without %s is taken", name, field)
			}
		}
	}
	if order := events.ExecuteSubject(events.ActionErasure, "pri_1"); !d.address("executions").MatchString(order) {
		t.Errorf("%s is not an address of the channel executions", order)
	}
	if asked := events.IdentitySubject("pri_1"); !d.address("identityQuestions").MatchString(asked) {
		t.Errorf("%s is not an address of the channel identityQuestions", asked)
	}
	question := object{"execution_id": "x", "added_later": 1}
	if err := d.schema("#/components/schemas/IdentityQuestion").Validate(question); err != nil {
		t.Errorf("a field that is added breaks readers: %v", err)
	}
}

// compare compares the fields of a struct with the properties of a schema, and
// of the structs inside.
func (d *document) compare(where string, typ reflect.Type, schema object) {
	d.t.Helper()
	properties, _ := schema["properties"].(object)
	known, always := map[string]bool{}, []string{}
	for field := range fields(typ) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		known[name] = true
		if !strings.Contains(options, "omitempty") {
			always = append(always, name)
		}
		property, ok := properties[name].(object)
		if !ok {
			d.t.Errorf("%s: the schema has no %s", where, name)
			continue
		}
		if inner := structIn(field.Type); inner != nil {
			d.compare(where+"."+name, inner, d.follow(property))
		}
	}
	for name := range properties {
		if !known[name] {
			d.t.Errorf("%s: the type has no %s", where, name)
		}
	}
	slices.Sort(always)
	if wanted := required(schema); !slices.Equal(always, wanted) {
		d.t.Errorf("%s: always written are %q, required are %q", where, always, wanted)
	}
}

// follow gives the schema of an object that a property leads to: by reference,
// as what a list holds, or beside null.
func (d *document) follow(property object) object {
	if ref, ok := property["$ref"].(string); ok {
		return d.follow(d.object(ref))
	}
	if items, ok := property["items"].(object); ok {
		return d.follow(items)
	}
	if choices, ok := property["anyOf"].([]any); ok {
		return d.follow(choices[0].(object))
	}
	return property
}

func required(schema object) []string {
	var names []string
	list, _ := schema["required"].([]any)
	for _, name := range list {
		names = append(names, fmt.Sprint(name))
	}
	slices.Sort(names)
	if names == nil {
		return []string{}
	}
	return names
}

// TestCodesAreListed compares the lists of codes with the constants.
func TestCodesAreListed(t *testing.T) {
	t.Parallel()
	d := openDocument(t)
	const record = "../../../internal/record"
	for _, list := range []struct {
		pointer string
		known   []string
	}{
		{"#/components/schemas/Reason/x-extensible-enum", constants(t, "..", "Reason", "")},
		{"#/components/schemas/Outcome/x-extensible-enum", constants(t, "..", "Outcome", "")},
		{"#/components/schemas/Action/enum", constants(t, "..", "Action", "")},
		{"#/channels/executions/parameters/action/enum", constants(t, "..", "Action", "")},
		{"#/components/schemas/Status/x-extensible-enum", constants(t, record, "Status", "")},
		{"#/components/schemas/Step/x-extensible-enum", constants(t, record, "Step", "")},
		{"#/components/schemas/IdentityAnswer/properties/code/x-extensible-enum", constants(t, "..", "Identity", "")},
		{"#/components/schemas/Phase/enum", constants(t, record, "Phase", "")},
	} {
		var listed []string
		codes, _ := d.at(list.pointer).([]any)
		for _, code := range codes {
			listed = append(listed, fmt.Sprint(code))
		}
		slices.Sort(listed)
		if !slices.Equal(listed, list.known) {
			t.Errorf("%s: listed are %q, there are %q", list.pointer, listed, list.known)
		}
	}
}
