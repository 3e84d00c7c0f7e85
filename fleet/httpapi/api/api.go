// Package api is the administration of a fleet server as an OpenAPI document, and
// the server and client that are generated from it.
package api

import _ "embed"

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config oapi-codegen.yaml openapi.json

// Document is the OpenAPI document, in JSON.
//
//go:embed openapi.json
var Document []byte

// Path is where the API is, below a server's URL.
const Path = "/api/v1"
