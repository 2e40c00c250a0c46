package authorization

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testbed.Settling{M: m, Left: func() error { return goleak.Find() }})
}

// issuer is a token endpoint; its tokens are t1, t2 and so on.
type issuer struct {
	url     string
	fetches atomic.Int32
	hold    chan struct{} // if set, fetches wait for it
	expires int
	status  int
	last    atomic.Pointer[http.Request]
}

func newIssuer(t *testing.T, i *issuer) *issuer {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := i.fetches.Add(1)
		_ = r.ParseForm()
		i.last.Store(r)
		if i.hold != nil {
			select {
			case <-i.hold:
			case <-r.Context().Done():
			}
		}
		w.Header().Set("Content-Type", "application/json")
		if i.status != 0 {
			w.WriteHeader(i.status)
		}
		_, _ = fmt.Fprintf(w, `{"access_token": "t%d", "token_type": "Bearer", "expires_in": %d}`, n, i.expires)
	}))
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) forward(d time.Duration) { c.at.Add(int64(d)) }

func source(t *testing.T) (*OAuth, *clock) {
	t.Helper()
	c := &clock{}
	c.at.Store(time.Now().UnixNano())
	transport := &http.Transport{}
	o := NewOAuth(&http.Client{Transport: transport, Timeout: 10 * time.Second}, c.now)
	t.Cleanup(func() {
		o.Close()
		transport.CloseIdleConnections()
	})
	return o, c
}

func token(t *testing.T, o *OAuth, settings catalog.OAuth, refused, want string) {
	t.Helper()
	got, err := o.Token(t.Context(), "con_1", settings, refused)
	if err != nil || got != want {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

func TestTokenIsFetchedAsConfigured(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, &issuer{expires: 3600})
	o, _ := source(t)
	scope, secret := "read  write", "s3cret"
	token(t, o, catalog.OAuth{TokenURL: i.url, ClientID: "me", ClientSecret: &secret, Scope: &scope}, "", "t1")
	r := i.last.Load()
	user, password, _ := r.BasicAuth()
	if user != "me" || password != "s3cret" || r.Form.Get("scope") != "read write" || r.Form.Get("grant_type") != "client_credentials" {
		t.Errorf("form %v, login %q", r.Form, user)
	}
}

func TestTokenIsKept(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, &issuer{expires: 3600})
	o, c := source(t)
	settings := catalog.OAuth{TokenURL: i.url, ClientID: "me"}
	token(t, o, settings, "", "t1")
	token(t, o, settings, "", "t1")
	c.forward(59 * time.Minute)
	token(t, o, settings, "", "t1")
	c.forward(31 * time.Second) // shortly before it expires
	token(t, o, settings, "", "t2")
	token(t, o, settings, "t1", "t2") // somebody else has replaced the refused one
	token(t, o, settings, "t2", "t3")
	settings.ClientID = "other"
	token(t, o, settings, "", "t4")
}

func TestTokenWithoutExpiry(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, &issuer{})
	o, c := source(t)
	settings := catalog.OAuth{TokenURL: i.url}
	token(t, o, settings, "", "t1")
	c.forward(4 * time.Minute)
	token(t, o, settings, "", "t1")
	c.forward(2 * time.Minute)
	token(t, o, settings, "", "t2")
}

func TestOneFetchForMany(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, &issuer{expires: 3600, hold: make(chan struct{})})
	o, _ := source(t)
	var waiting sync.WaitGroup
	for range 20 {
		waiting.Go(func() {
			if got, err := o.Token(t.Context(), "con_1", catalog.OAuth{TokenURL: i.url}, ""); err != nil || got != "t1" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	close(i.hold)
	waiting.Wait()
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestNoTokenToBeHad(t *testing.T) {
	t.Parallel()
	o, _ := source(t)
	refusing := newIssuer(t, &issuer{status: http.StatusUnauthorized})
	for _, url := range []string{refusing.url, "http://127.0.0.1:1/", "nonsense"} {
		if _, err := o.Token(t.Context(), "con_1", catalog.OAuth{TokenURL: url}, ""); !errors.Is(err, errFetch) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestWaitEndsWithTheCall(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, &issuer{hold: make(chan struct{})})
	o, _ := source(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Token(ctx, "con_1", catalog.OAuth{TokenURL: i.url}, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
