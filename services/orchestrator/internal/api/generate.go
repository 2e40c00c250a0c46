// Package api is generated from the OpenAPI document of the orchestrator: the
// shapes of requests and answers, and the interface that package rest fulfills.
package api

//go:generate go tool -modfile=../../../../tools/go.mod oapi-codegen -config oapi-codegen.yaml ../../api/openapi.yaml
