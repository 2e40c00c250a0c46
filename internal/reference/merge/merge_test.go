package merge_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/reference/merge"
)

const first = `
openapi: 3.0.3
info: {title: A, version: "1"}
security: [{key: []}]
paths:
  /a: {get: {responses: {'200': {$ref: '#/components/responses/Good'}}}}
components:
  securitySchemes: {key: {type: http, scheme: bearer}}
  responses: {Good: {description: good, content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}}}
  schemas:
    Thing: {type: object, properties: {a: {type: string}}}
    Same: {type: string}
`

const second = `
openapi: 3.0.3
info: {title: B, version: "1"}
paths:
  /b: {get: {security: [], responses: {'200': {$ref: '#/components/responses/Good'}}}}
components:
  responses: {Good: {description: good, content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}}}
  schemas:
    Thing: {type: object, properties: {b: {$ref: '#/components/schemas/Same'}}}
    Same: {type: string}
`

func TestDocuments(t *testing.T) {
	t.Parallel()
	text, err := merge.Documents(map[string]any{"title": "T", "version": "1"}, []merge.Document{
		{Service: "First", Text: []byte(first)}, {Service: "Second", Text: []byte(second)},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	answer := func(name string) map[string]any {
		return map[string]any{"200": map[string]any{"$ref": "#/components/responses/" + name}}
	}
	response := func(schema string) map[string]any {
		return map[string]any{"description": "good", "content": map[string]any{"application/json": map[string]any{
			"schema": map[string]any{"$ref": "#/components/schemas/" + schema},
		}}}
	}
	thing := func(name string, value map[string]any) map[string]any {
		return map[string]any{"type": "object", "properties": map[string]any{name: value}}
	}
	want := map[string]any{
		"openapi": "3.0.3", "info": map[string]any{"title": "T", "version": "1"}, "tags": []any{},
		"paths": map[string]any{
			"/a": map[string]any{"get": map[string]any{"security": []any{map[string]any{"key": []any{}}}, "responses": answer("Good")}},
			"/b": map[string]any{"get": map[string]any{"security": []any{}, "responses": answer("SecondGood")}},
		},
		"components": map[string]any{
			"securitySchemes": map[string]any{"key": map[string]any{"type": "http", "scheme": "bearer"}},
			"responses":       map[string]any{"Good": response("Thing"), "SecondGood": response("SecondThing")},
			"schemas": map[string]any{
				"Thing":       thing("a", map[string]any{"type": "string"}),
				"SecondThing": thing("b", map[string]any{"$ref": "#/components/schemas/Same"}),
				"Same":        map[string]any{"type": "string"},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnOperationIsDescribedOnce(t *testing.T) {
	t.Parallel()
	other := []byte(`{"openapi":"3.0.3","info":{"title":"C","version":"1"},"paths":{"/a":{"get":{"responses":{"200":{"description":"other"}}}}}}`)
	_, err := merge.Documents(map[string]any{}, []merge.Document{{Service: "First", Text: []byte(first)}, {Service: "Other", Text: other}})
	if !errors.Is(err, merge.ErrTwice) {
		t.Error(err)
	}
}
