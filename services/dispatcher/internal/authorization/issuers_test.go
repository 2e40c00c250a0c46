package authorization

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
)

// answering starts an issuer that gives what the function gives for its n-th
// answer.
func answering(t *testing.T, answer func(n int32) string) (string, *atomic.Int32) {
	t.Helper()
	var fetches atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer(fetches.Add(1)))
	}))
	t.Cleanup(server.Close)
	return server.URL, &fetches
}

// What an issuer gives that is no token, or fits into no header, is none: the
// fetch has failed, and the next call fetches anew.
func TestWhatIsNoToken(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"line break":       `{"access_token": "t\r\nX-Injected: 1", "expires_in": 3600}`,
		"trailing newline": `{"access_token": "t\n", "expires_in": 3600}`,
		"NUL":              `{"access_token": "t\u0000", "expires_in": 3600}`,
		"far too long":     `{"access_token": "` + strings.Repeat("t", 100<<10) + `", "expires_in": 3600}`,
		"endless":          `{"access_token": "` + strings.Repeat("t", 2<<20) + `", "expires_in": 3600}`,
		"an error of 200":  `{"error": "invalid_client", "access_token": "t", "expires_in": 3600}`,
		"null":             `{"access_token": null, "expires_in": 3600}`,
		"a number":         `{"access_token": 1, "expires_in": 3600}`,
		"no such expiry":   `{"access_token": "t", "expires_in": "soon"}`,
		"a list":           `["t"]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer, fetches := answering(t, func(n int32) string {
				if n == 1 {
					return answer
				}
				return `{"access_token": "good"}`
			})
			o, _ := source(t)
			got, err := o.Token(t.Context(), "con_1", catalog.OAuth{TokenURL: issuer}, "")
			if !errors.Is(err, errFetch) {
				t.Errorf("got a token of %d bytes, %v", len(got), err)
			}
			token(t, o, catalog.OAuth{TokenURL: issuer}, "", "good")
			if n := fetches.Load(); n != 2 {
				t.Errorf("%d fetches", n)
			}
		})
	}
}

// A life that makes no sense neither fails a call nor keeps a token for ever.
func TestLivesOfTokens(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		expires string
		after   time.Duration
		want    string
	}{
		"as a string":    {`"3600"`, 50 * time.Minute, "t1"},
		"of years":       {`2000000000`, 25 * time.Hour, "t2"},
		"beyond all":     {`99999999999`, 25 * time.Hour, "t2"},
		"for a while":    {`99999999999`, 23 * time.Hour, "t1"},
		"gone before":    {`-3600`, 0, "t2"},
		"gone long ago":  {`-9223372036`, 0, "t2"},
		"shorter than 1": {`1`, time.Second, "t2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer, _ := answering(t, func(n int32) string {
				return `{"access_token": "t` + string('0'+n) + `", "expires_in": ` + test.expires + `}`
			})
			o, c := source(t)
			settings := catalog.OAuth{TokenURL: issuer}
			token(t, o, settings, "", "t1")
			c.forward(test.after)
			token(t, o, settings, "", test.want)
		})
	}
}

// Most issuers read a login as it stands, some decode it; both get theirs.
func TestLoginsOfSigns(t *testing.T) {
	t.Parallel()
	const id, secret = "parley@example.com", "a+b/c=d%41 e~"
	for name, read := range map[string]func(string) (string, error){
		"as it stands": func(s string) (string, error) { return s, nil },
		"decoded":      url.QueryUnescape,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				user, password, _ := r.BasicAuth()
				user, _ = read(user)
				if password, _ = read(password); user != id || password != secret {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"access_token": "t"}`)
			}))
			t.Cleanup(server.Close)
			o, _ := source(t)
			password := secret
			token(t, o, catalog.OAuth{TokenURL: server.URL, ClientID: id, ClientSecret: &password}, "", "t")
		})
	}
}
