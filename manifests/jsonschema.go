package manifests

import _ "embed"

// JSONSchema is the schema of a manifest for editors, generated from the
// fields in schema.go.
//
//go:embed schema.json
var JSONSchema []byte
