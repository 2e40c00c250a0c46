package parts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	"github.com/parley-dsr/parley/bench/internal/child"
)

// Paths of the receiver.
const (
	PathGo    = "/go"    // goes on
	PathHalt  = "/halt"  // halts
	PathCalls = "/calls" // gives what came since it was last asked
)

// Call is what the receiver notes of one.
type Call struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

type receiver struct {
	mu    sync.Mutex
	calls []Call
}

// Receiver is the called system: HTTPS, with a certificate of its own, which it
// writes to BENCH_ROOT.
func Receiver(ctx context.Context, environ map[string]string) error {
	server := httptest.NewUnstartedServer(&receiver{})
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(environ["BENCH_ROOT"], root, 0o600); err != nil {
		return err
	}
	if err := child.Tell(server.URL); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	at := time.Now()
	if request.URL.Path == PathCalls {
		_ = json.NewEncoder(w).Encode(r.take())
		return
	}
	r.note(Call{ID: request.Header.Get("Webhook-Id"), At: at})
	_, _ = io.Copy(io.Discard, request.Body)
	w.Header().Set("Content-Type", "application/json")
	answer := `{"halt": false}`
	if request.URL.Path == PathHalt {
		answer = `{"halt": true}`
	}
	_, _ = io.WriteString(w, answer)
}

func (r *receiver) note(c Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
}

func (r *receiver) take() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

// Trusting makes a client of the receiver whose certificate is in the file.
func Trusting(file string) (*http.Client, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 1024,
	}}, nil
}
