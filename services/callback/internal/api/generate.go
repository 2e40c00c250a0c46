// Package api is generated from api/openapi.yaml: the types and the server
// interface of the callback service's REST edge.
package api

//go:generate go tool -modfile=../../../../tools/go.mod oapi-codegen -config oapi-codegen.yaml ../../api/openapi.yaml
