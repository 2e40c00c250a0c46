// Command parley-config runs the config service of Parley.
package main

import (
	"github.com/parley-dsr/parley/internal/process"
	config "github.com/parley-dsr/parley/services/config"
)

func main() {
	process.Service("config", config.Run, map[string]string{"PARLEY_HTTP_ADDR": "127.0.0.1:8081"})
}
