// Command parley-callback takes the replies of the systems that were called.
package main

import (
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/callback"
)

func main() {
	process.Service("callback", callback.Run, map[string]string{"PARLEY_HTTP_ADDR": "127.0.0.1:8083"})
}
