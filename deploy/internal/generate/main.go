// Command generate writes nats/accounts.conf from the table of users in
// internal/topology, as `parley nats accounts` prints it.
package main

import (
	"fmt"
	"os"

	"github.com/parley-dsr/parley/deploy"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	text, err := deploy.Accounts()
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644) //nolint:gosec // it holds no secret
}
