package edge

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// operation is one operation of the document, ready to check requests.
type operation struct {
	id       string
	route    string // its path's template
	security security
	params   params
	body     bodyRule
}

// load reads the document. The places of things in it are kept, since problems
// are listed in the order in which the document declares the fields.
func load(spec []byte) (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	loader.IncludeOrigin = true
	doc, err := loader.LoadFromData(spec)
	if err != nil {
		return nil, fmt.Errorf("edge: read the OpenAPI document: %w", err)
	}
	if err := doc.Validate(context.Background(), openapi3.DisableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("edge: the OpenAPI document: %w", err)
	}
	return doc, nil
}

func compileRoutes(doc *openapi3.T) (*router, error) {
	routes := &router{operations: make(map[string]bool)}
	schemas := newCompiler()
	for path, item := range doc.Paths.Map() {
		template := withBase(doc, path)
		for method, declared := range item.Operations() {
			op, err := compileOperation(doc, template, item, declared, schemas)
			if err != nil {
				return nil, fmt.Errorf("edge: %s %s: %w", method, path, err)
			}
			routes.add(template, method, op)
			routes.operations[op.id] = true
		}
	}
	return routes, nil
}

// withBase puts the path of the first server before paths that are written
// without it.
func withBase(doc *openapi3.T, path string) string {
	if _, found := cutPrefix(path, base); found || len(doc.Servers) == 0 {
		return path
	}
	prefix, err := doc.Servers[0].BasePath()
	if err != nil {
		return path
	}
	return strings.TrimSuffix(prefix, "/") + path
}

func compileOperation(
	doc *openapi3.T, template string, item *openapi3.PathItem, declared *openapi3.Operation, schemas *compiler,
) (*operation, error) {
	if declared.OperationID == "" {
		return nil, errors.New("no operationId")
	}
	secured, err := compileSecurity(doc, declared)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(item.Parameters, declared.Parameters)
	parameters, err := compileParams(template, all, schemas)
	if err != nil {
		return nil, err
	}
	body, err := compileBody(declared.RequestBody, schemas)
	if err != nil {
		return nil, err
	}
	return &operation{id: declared.OperationID, route: template, security: secured, params: parameters, body: body}, nil
}

// securityKind is how an operation is protected.
type securityKind int

const (
	open securityKind = iota
	oauth2
	replyToken
)

type security struct {
	kind   securityKind
	scopes []string
}

// compileSecurity reads what the operation demands, or the document where the
// operation does not say.
func compileSecurity(doc *openapi3.T, declared *openapi3.Operation) (security, error) {
	demands := doc.Security
	if declared.Security != nil {
		demands = *declared.Security
	}
	if len(demands) == 0 {
		return security{kind: open}, nil
	}
	if len(demands) > 1 || len(demands[0]) != 1 {
		return security{}, errors.New("more than one way to authenticate")
	}
	for name, scopes := range demands[0] {
		switch name {
		case "oauth2":
			return security{kind: oauth2, scopes: scopes}, nil
		case "replyToken":
			return security{kind: replyToken, scopes: scopes}, nil
		default:
			return security{}, fmt.Errorf("unknown security %q", name)
		}
	}
	return security{}, nil
}

var templateParameter = regexp.MustCompile(`\{([^}]+)\}`)

// compileParams puts the parameters into the order in which problems are
// listed: path, query, header. A parameter of the operation replaces one of the
// same name of the path item.
func compileParams(template string, declared openapi3.Parameters, schemas *compiler) (params, error) {
	var out params
	byPlace := make(map[[2]string]param)
	var order [][2]string
	for _, ref := range declared {
		p := ref.Value
		rule, err := schemas.compile(p.Schema)
		if err != nil {
			return params{}, fmt.Errorf("parameter %s: %w", p.Name, err)
		}
		place := [2]string{p.In, p.Name}
		if _, known := byPlace[place]; !known {
			order = append(order, place)
		}
		byPlace[place] = param{name: p.Name, required: p.Required, rule: rule}
	}
	for _, found := range templateParameter.FindAllStringSubmatch(template, -1) {
		p, known := byPlace[[2]string{openapi3.ParameterInPath, found[1]}]
		if !known {
			return params{}, fmt.Errorf("path parameter %s is not declared", found[1])
		}
		out.path = append(out.path, p)
	}
	for _, place := range order {
		switch place[0] {
		case openapi3.ParameterInQuery:
			out.query = append(out.query, byPlace[place])
		case openapi3.ParameterInHeader:
			out.header = append(out.header, byPlace[place])
		}
	}
	return out, nil
}

// compileBody reads the declared body: JSON, or a form.
func compileBody(ref *openapi3.RequestBodyRef, schemas *compiler) (bodyRule, error) {
	if ref == nil || ref.Value == nil {
		return bodyRule{}, nil
	}
	for name, media := range ref.Value.Content {
		form := strings.HasPrefix(name, "application/x-www-form-urlencoded")
		if !form && !strings.Contains(name, "json") || len(ref.Value.Content) > 1 {
			return bodyRule{}, errors.New("a body must be declared once, as JSON or as a form")
		}
		rule, err := schemas.compile(media.Schema)
		if err != nil {
			return bodyRule{}, fmt.Errorf("body: %w", err)
		}
		return bodyRule{declared: true, required: ref.Value.Required, form: form, rule: rule}, nil
	}
	return bodyRule{}, nil
}
