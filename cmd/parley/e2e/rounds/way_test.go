//go:build faults

package rounds

import (
	"context"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// reconnect is how often the round's own connection looks for NATS.
const reconnect = 50 * time.Millisecond

// way is the way of one service to NATS.
type way struct {
	addr  string
	proxy *toxiproxy.Proxy
}

func openWay(t *testing.T, to string) (*way, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	// it comes back where it was, so nobody may take the address meanwhile
	proxy := toxiproxy.NewProxy(server, to, testbed.FreeAddr(t), to)
	if err := proxy.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(proxy.Stop)
	return &way{addr: proxy.Listen, proxy: proxy}, nil
}

// cut breaks the connections and refuses new ones.
func (w *way) cut() { w.proxy.Stop() }

// mend lets connections be made again.
func (w *way) mend() error { return w.proxy.Start() }

// silence lets everything vanish that is sent either way, and says so to
// nobody.
func (w *way) silence() error {
	for _, stream := range []string{"upstream", "downstream"} {
		toxic := strings.NewReader(`{"type": "timeout", "stream": "` + stream + `", "attributes": {"timeout": 0}}`)
		if _, err := w.proxy.Toxics.AddToxicJson(toxic); err != nil {
			return err
		}
	}
	return nil
}

// speak ends the silence, and with it the connections.
func (w *way) speak() { w.proxy.Toxics.ResetToxics(context.Background()) }
