// Command generate writes nats/accounts.conf from the table of users in
// internal/topology, as `parley nats accounts` prints it.
package main

import (
	"context"
	"os"

	"github.com/parley-dsr/parley/deploy"
	"github.com/parley-dsr/parley/internal/process"
)

func main() { process.Main("generate", write) }

func write(context.Context, map[string]string) error {
	text, err := deploy.Accounts()
	if err != nil {
		return err
	}
	return os.WriteFile(os.Args[1], []byte(text), 0o644) //nolint:gosec // it holds no secret
}
