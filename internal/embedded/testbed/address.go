package testbed

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

// The ports that FreeAddr gives are below those that systems hand out by
// themselves, so that no connection of anybody takes one before its server
// listens, or while it is away.
const (
	firstPort = 10_000
	ports     = 22_000
	// stride keeps test binaries that run side by side apart.
	stride = 131
)

// given counts the addresses that this process has given: none is given twice.
var given atomic.Int64

// FreeAddr gives an address that nobody listens on, and that nobody else is
// given: for servers of a test that have to come back where they were.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range ports {
		port := firstPort + (int64(os.Getpid())*stride+given.Add(1))%ports
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		var config net.ListenConfig
		l, err := config.Listen(t.Context(), "tcp", addr)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatalf("free address: %v", err)
		}
		return addr
	}
	t.Fatal("there is no free address")
	return ""
}
