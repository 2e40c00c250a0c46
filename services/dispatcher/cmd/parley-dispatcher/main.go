// Command parley-dispatcher calls the receivers of webhooks.
package main

import (
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/dispatcher"
)

func main() {
	process.Service("dispatcher", dispatcher.Run, map[string]string{"PARLEY_HTTP_ADDR": "127.0.0.1:8084"})
}
