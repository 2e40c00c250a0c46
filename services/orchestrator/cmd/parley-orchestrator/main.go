// Command parley-orchestrator keeps the state of every privacy request.
package main

import (
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/orchestrator"
)

func main() {
	process.Service("orchestrator", orchestrator.Run, map[string]string{"PARLEY_HTTP_ADDR": "127.0.0.1:8082"})
}
