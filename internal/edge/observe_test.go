package edge_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/edge"
)

func TestRequestID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if id := b.send("GET", "/thing/k1", "", "X-Request-Id", "abc-1.2_3").Header().Get("X-Request-Id"); id != "abc-1.2_3" {
		t.Errorf("given id: %s", id)
	}
	for _, sent := range []string{"", "a b", "a\"b", strings.Repeat("a", 129)} {
		id := b.send("GET", "/thing/k1", "", "X-Request-Id", sent).Header().Get("X-Request-Id")
		if id == sent || len(id) < 20 {
			t.Errorf("%q: %q", sent, id)
		}
	}
}

// The log says which operation ended how, and nothing of what was sent.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send("GET", "/thing/secret-key?page=secret", "secret", "X-Request-Id", "id-1", "Authorization", "Bearer secret")
	b.send("GET", "/secret/path?secret=1", "")
	b.send("SECRET", "/thing", "")
	if strings.Contains(strings.ToLower(b.log.String()), "secret") {
		t.Errorf("the log repeats what was sent: %s", b.log)
	}
	var line map[string]any
	if err := json.NewDecoder(b.log).Decode(&line); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"msg": "served", "request_id": "id-1", "method": "GET", "route": "/api/v1/thing/{thing_key}", "status": float64(200),
	} {
		if line[name] != want {
			t.Errorf("%s: %v", name, line[name])
		}
	}
	metrics, err := b.registry.Gather()
	if err != nil || len(metrics) != 1 || metrics[0].GetName() != "parley_http_request_duration_seconds" || len(metrics[0].GetMetric()) != 3 {
		t.Errorf("metrics: %v, %v", metrics, err)
	}
}

func TestGzip(t *testing.T) {
	t.Parallel()
	b := setupWith(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		size := 999
		if strings.HasSuffix(r.URL.Path, "large") {
			size = 1000
		}
		_, _ = w.Write(bytes.Repeat([]byte("1"), size))
	}))
	for _, c := range []struct {
		key, accept string
		compressed  bool
	}{
		{"large", "gzip", true}, {"large", "br, gzip;q=0.5", true}, {"small", "gzip", false},
		{"large", "", false}, {"large", "gzip;q=0", false}, {"large", "zstd", false},
	} {
		w := b.send("GET", "/thing/"+c.key, "", "Accept-Encoding", c.accept)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != c.compressed {
			t.Errorf("%s, %s: compressed %v", c.key, c.accept, got)
			continue
		}
		var body io.Reader = w.Body
		if c.compressed {
			unpacked, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			body = unpacked
		}
		if all, err := io.ReadAll(body); err != nil || len(all) < 999 {
			t.Errorf("%s, %s: %d bytes, %v", c.key, c.accept, len(all), err)
		}
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	b := setupWith(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch key := r.URL.Path[len("/api/v1/thing/"):]; key {
		case "value":
			panic("secret a@example.com")
		case "runtime":
			list := []string{}
			_ = list[len(key)]
		case "begun":
			w.WriteHeader(http.StatusOK)
			panic("secret")
		case "abort":
			panic(http.ErrAbortHandler)
		}
	}))
	for _, key := range []string{"value", "runtime"} {
		w := b.send("GET", "/thing/"+key, "")
		if w.Code != 500 || w.Body.String() != "Internal Server Error" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %d %s", key, w.Code, w.Body)
		}
	}
	for _, key := range []string{"begun", "abort"} {
		func() {
			defer func() {
				if value := recover(); value != http.ErrAbortHandler { //nolint:errorlint // the value itself
					t.Errorf("%s: %v", key, value)
				}
			}()
			b.send("GET", "/thing/"+key, "")
		}()
	}
	if log := b.log.String(); strings.Contains(log, "secret") || !strings.Contains(log, "index out of range") {
		t.Errorf("log: %s", log)
	}
}

func TestWriteError(t *testing.T) {
	t.Parallel()
	failures := map[string]error{
		"unknown":  fmt.Errorf("store: %w", errors.New(`insert "a@example.com" for +15558675309, b@example.com, token eyJhbGciOi.x`)),
		"internal": edge.Internal(errors.New("broken 'secret'")),
		"wrapped":  fmt.Errorf("outer: %w", edge.Conflict("%s is <in use>", "x")),
		"text":     edge.UnprocessableText("100%% wrong"),
		"forbid":   edge.Forbidden(""),
		"soon":     edge.Unavailable(0, "later"),
	}
	b := setupWith(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edge.ResponseError(w, r, failures[r.URL.Path[len("/api/v1/thing/"):]])
	}))
	for key, want := range map[string]struct {
		status int
		body   string
	}{
		"unknown":  {500, "Internal Server Error"},
		"internal": {500, "Internal Server Error"},
		"wrapped":  {409, `{"detail":"x is <in use>"}`},
		"text":     {422, `{"detail":"100% wrong"}`},
		"forbid":   {403, notAuthorized},
		"soon":     {503, `{"detail":"later"}`},
	} {
		wantRefusal(t, b.send("GET", "/thing/"+key, ""), want.status, want.body)
	}
	log := b.log.String()
	for _, value := range []string{"example.com", "1555", "eyJ", "secret"} {
		if strings.Contains(log, value) {
			t.Errorf("the log has %q: %s", value, log)
		}
	}
	if !strings.Contains(log, "store: insert") || !strings.Contains(log, "*errors.errorString") {
		t.Errorf("the log does not help: %s", log)
	}
}

func TestRequestError(t *testing.T) {
	t.Parallel()
	b := setupWith(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edge.RequestError(w, r, errors.New(`cannot read "secret"`))
	}))
	wantRefusal(t, b.send("GET", "/thing/k1", ""), 422,
		`{"detail":[{"type":"value_error","loc":["body"],"msg":"Value error, the request cannot be read"}]}`)
	if strings.Contains(b.log.String(), "secret") {
		t.Errorf("log: %s", b.log)
	}
}

func TestClientAddr(t *testing.T) {
	t.Parallel()
	var got netip.Addr
	b := setupWith(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = edge.ClientAddr(r) }),
		func(c *edge.Config) {
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
		})
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:1", "", "192.0.2.1"},
		{"192.0.2.1:1", "198.51.100.7", "192.0.2.1"}, // not a proxy of ours: not believed
		{"10.0.0.1:1", "198.51.100.7", "198.51.100.7"},
		{"[::ffff:10.0.0.1]:1", "198.51.100.7", "198.51.100.7"},
		{"10.0.0.1:1", "203.0.113.9, 198.51.100.7, 10.0.0.2", "198.51.100.7"}, // the first is the caller's own claim
		{"10.0.0.1:1", "198.51.100.7:4711", "198.51.100.7"},
		{"[fd00::1]:1", "[2001:db8::1]:1", "2001:db8::1"},
		{"10.0.0.1:1", "unknown, 10.0.0.2", "10.0.0.2"},
		{"10.0.0.1:1", "10.0.0.3", "10.0.0.3"},
		{"10.0.0.1:1", "", "10.0.0.1"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/thing/k1", nil)
		r.RemoteAddr = c.remote
		r.Header.Set("X-Forwarded-For", c.forwarded)
		b.handler.ServeHTTP(httptest.NewRecorder(), r)
		if got.String() != c.want {
			t.Errorf("%s, %s: %s", c.remote, c.forwarded, got)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	two, five := 2, 5
	for want, page := range map[string]any{
		`{"items":[],"total":0,"page":1,"size":50,"pages":0}`:    edge.NewPage[int](nil, 0, 1, 50),
		`{"items":[1],"total":101,"page":3,"size":50,"pages":3}`: edge.NewPage([]int{1}, 101, 3, 50),
		`{"items":[6,7],"total":7,"page":2,"size":5,"pages":2}`:  edge.NewPage([]int{6, 7}, 7, 2, 5),
	} {
		if got, err := json.Marshal(page); err != nil || string(got) != want {
			t.Errorf("got %s, want %s, %v", got, want, err)
		}
	}
	for want, of := range map[edge.Paging]edge.Paging{{Page: 1, Size: 50}: edge.PagingOf(nil, nil), {Page: 2, Size: 5}: edge.PagingOf(&two, &five)} {
		if of != want || of.Offset() != (want.Page-1)*want.Size {
			t.Errorf("got %+v, %d before it; want %+v", of, of.Offset(), want)
		}
	}
}

func TestTimestamps(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("", 2*3600)
	for want, at := range map[string]time.Time{
		`"2019-01-01T01:45:55.393185Z"`: time.Date(2019, 1, 1, 3, 45, 55, 393_185_999, berlin),
		`"2019-01-01T01:45:55Z"`:        time.Date(2019, 1, 1, 1, 45, 55, 999, time.UTC),
		`"2019-01-01T01:45:55.500000Z"`: time.Date(2019, 1, 1, 1, 45, 55, 500_000_000, time.UTC),
	} {
		got, err := json.Marshal(edge.Timestamp(at))
		if err != nil || string(got) != want {
			t.Errorf("got %s, want %s, %v", got, want, err)
		}
		var back edge.Timestamp
		if err := json.Unmarshal(got, &back); err != nil || !back.Time().Equal(at.Truncate(time.Microsecond)) {
			t.Errorf("%s: %v", want, err)
		}
		if stamp := edge.TimestampOf(&at); `"`+stamp.String()+`"` != want {
			t.Errorf("got %s", stamp)
		}
	}
	if edge.TimestampOf(nil) != nil {
		t.Error("a missing time")
	}
	for _, bad := range []string{`1`, `"x"`, `"2019-01-01"`} {
		var stamp edge.Timestamp
		if err := json.Unmarshal([]byte(bad), &stamp); err == nil {
			t.Errorf("%s: accepted", bad)
		}
	}
}
