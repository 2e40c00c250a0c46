// Package api holds the description of the config service's REST edge: the
// document that users read, that requests are checked against, and that the
// server in internal/api is generated from.
package api

import _ "embed"

// OpenAPI is the description, in YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte
