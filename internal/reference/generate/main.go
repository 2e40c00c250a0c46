// Command generate writes the merged OpenAPI document anew. It is run by
// go generate in the folder of package reference.
package main

import (
	"os"

	"github.com/parley-dsr/parley/internal/reference/sources"
)

func main() {
	text, err := sources.Merged("../..")
	if err == nil {
		err = os.WriteFile("openapi.json", text, 0o644) //nolint:gosec // everybody may read it
	}
	if err != nil {
		panic(err)
	}
}
