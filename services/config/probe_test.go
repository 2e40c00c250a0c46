package config_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// dispatcher answers probes in the place of one, and tells for which
// connections.
func (b *bundle) dispatcher(answer work.ProbeAnswer) <-chan string {
	b.t.Helper()
	asked := make(chan string, 10)
	data, err := json.Marshal(answer)
	if err != nil {
		b.t.Fatal(err)
	}
	sub, err := b.nc.Subscribe(events.ProbeSubject("*"), func(msg *nats.Msg) {
		asked <- strings.TrimPrefix(msg.Subject, events.ProbeSubject(""))
		if err := msg.Respond(data); err != nil {
			b.t.Error(err)
		}
	})
	if err == nil {
		err = b.nc.Flush()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = sub.Unsubscribe() })
	return asked
}

func TestConnectionProbe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hook("c")
	const path = "/connection/c/test"
	skipped := `{"msg":"Test completed for ConnectionConfig with key: c.","test_status":"skipped","failure_reason":null}`
	b.call("GET", path+"?probe=false", nil).wantJSON(t, http.StatusOK, skipped)
	b.call("GET", path+"?probe=maybe", nil).want(t, http.StatusUnprocessableEntity)
	b.call("GET", "/connection/other/test?probe=true", nil).want(t, http.StatusNotFound)
	if got := b.call("GET", path+"?probe=true", nil); got.status != http.StatusServiceUnavailable {
		t.Errorf("without a dispatcher: %d %s", got.status, got.body)
	}
	t.Run("passed", func(t *testing.T) {
		asked := b.dispatcher(work.ProbeAnswer{Passed: true})
		b.call("GET", path+"?probe=true", nil).wantJSON(t, http.StatusOK,
			`{"msg":"Test completed for ConnectionConfig with key: c.","test_status":"passed","failure_reason":null}`)
		if id := <-asked; !strings.HasPrefix(id, "con_") {
			t.Errorf("asked for %q", id)
		}
		b.call("GET", path, nil).wantJSON(t, http.StatusOK, skipped)
		if len(asked) != 0 {
			t.Error("probed without being asked to")
		}
	})
}

func TestConnectionProbeFailed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hook("c")
	b.dispatcher(work.ProbeAnswer{FailureReason: "the connection was refused"})
	b.call("GET", "/connection/c/test?probe=true", nil).wantJSON(t, http.StatusOK,
		`{"msg":"Test completed for ConnectionConfig with key: c.","test_status":"failed","failure_reason":"the connection was refused"}`)
}
