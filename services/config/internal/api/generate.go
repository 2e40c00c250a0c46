// Package api is the server that is generated from the description of the REST
// edge: types, routes, and one method an operation, which package rest
// implements. Nothing in it is written by hand; change api/openapi.yaml and
// generate it anew.
package api

//go:generate go tool -modfile=../../../../tools/go.mod oapi-codegen --config oapi-codegen.yaml ../../api/openapi.yaml
