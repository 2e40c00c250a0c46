// Package egress is the one way out: every call to a receiver or to a token
// endpoint is made by its Client.
//
// A receiver's URL is somebody's configuration, so the client trusts nothing
// that it leads to. It dials public addresses only, unless a network is
// allowed, and checks the address after the name was resolved; it speaks TLS
// 1.2 or newer, unless plain http is allowed; it follows no redirect, which
// would lead to an address, and send credentials to a host, that nobody
// configured; it ignores the proxy variables of the environment. One deadline
// spans connecting, the headers and the body, and no more than MaxAnswer of
// the decompressed body is read: a receiver that answers slowly or without end
// costs one attempt.
package egress

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

const (
	// MaxAnswer is how much of an answer is read, in bytes after
	// decompression.
	MaxAnswer = 1 << 20

	// A body that nobody wants is read to its end if that is no further away
	// than this, so that its connection can be used again.
	drained     = 16 << 10
	drainWithin = 100 * time.Millisecond
)

// Rules say what may be called.
type Rules struct {
	// AllowNetworks may be dialled although they are not public.
	AllowNetworks []netip.Prefix
	// AllowHTTP permits URLs without TLS.
	AllowHTTP bool
	// Roots are trusted beside the system's; nil adds none.
	Roots *x509.CertPool
	// Timeout of one call: connect, headers and body together.
	Timeout time.Duration
	// Resolver looks names up; nil is the system's.
	Resolver *net.Resolver
}

// Client calls receivers. It is safe for concurrent use.
type Client struct {
	rules      Rules
	transports *transports
}

// New gives a client that keeps to the rules.
func New(rules Rules) *Client { return &Client{rules: rules, transports: newTransports(rules)} }

// Close ends the connections that are idle.
func (c *Client) Close() { c.transports.close() }

// HTTP gives a client of the standard library under the same rules, for what
// is not a call, such as the fetching of a token.
func (c *Client) HTTP() *http.Client {
	return &http.Client{
		Transport:     checked{c},
		Timeout:       c.rules.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type checked struct{ client *Client }

func (t checked) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.client.Check(r.URL.String()); err != nil {
		return nil, err
	}
	return roundTrip(t.client.transports.of(nil), r.WithContext(watched(r.Context())))
}

// roundTrip rather than a http.Client: it neither follows redirects nor keeps
// cookies.
func roundTrip(transport *http.Transport, request *http.Request) (*http.Response, error) {
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	// A receiver that changes the protocol has not answered, and no deadline
	// would end the reading of what it says then.
	if response.StatusCode < http.StatusOK {
		_ = response.Body.Close()
		return nil, ErrStatus
	}
	return response, nil
}

// Request is one POST.
type Request struct {
	URL    string
	Header http.Header
	Body   []byte
	// Certificate is shown to a receiver that asks for one; it may be nil.
	Certificate *tls.Certificate
	// WantAnswer says that the body of an answer matters; otherwise a body of
	// whatever length or form is left unread.
	WantAnswer bool
}

// Answer is what came back: any status, also a redirect.
type Answer struct {
	Status int
	Header http.Header
	// Body is nil unless it was wanted and the status is a success.
	Body []byte
}

// Post makes the call. The answer has the status where the error came after
// the headers. Outcome tells what an error means.
func (c *Client) Post(ctx context.Context, r Request) (Answer, error) {
	if err := c.Check(r.URL); err != nil {
		return Answer{}, err
	}
	if err := checkHeader(r.Header); err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.rules.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(watched(ctx), http.MethodPost, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, ErrURL // the error of the parser repeats the URL, which may have secrets
	}
	fill(request, r.Header)
	response, err := roundTrip(c.transports.of(r.Certificate), request)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	answer := Answer{Status: response.StatusCode, Header: response.Header}
	if !r.WantAnswer || answer.Status >= http.StatusMultipleChoices {
		drain(response, cancel)
		return answer, nil
	}
	answer.Body, err = readBody(response.Body)
	if err == nil {
		err = ctx.Err() // a receiver that sees the deadline may end its body as if it were whole
	}
	return answer, err
}

// drain reads a body that nobody wants, if it ends soon.
func drain(response *http.Response, stop context.CancelFunc) {
	if response.ContentLength > drained {
		return
	}
	limit := time.AfterFunc(drainWithin, stop)
	defer limit.Stop()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, drained+1))
}

// fill sets the headers, and does with those of a request that are not sent as
// headers, and with a login in the URL, what a http.Client does.
func fill(request *http.Request, header http.Header) {
	maps.Copy(request.Header, header)
	if host := header.Get("Host"); host != "" {
		request.Host = host
		request.Header.Del("Host")
	}
	if user := request.URL.User; user != nil && header.Get("Authorization") == "" {
		password, _ := user.Password()
		request.SetBasicAuth(user.Username(), password)
	}
}

// Check says whether a URL may be called, as far as the URL alone tells.
func (c *Client) Check(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return ErrURL
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return ErrURL
	}
	switch strings.ToLower(u.Scheme) {
	case "https":
		return nil
	case "http":
		if c.rules.AllowHTTP {
			return nil
		}
		return ErrPlain
	}
	return ErrURL
}

func checkHeader(header http.Header) error {
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) {
			return ErrHeader
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return ErrHeader
			}
		}
	}
	if host := header.Get("Host"); host != "" && !httpguts.ValidHostHeader(host) {
		return ErrHeader
	}
	return nil
}

func readBody(body io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, MaxAnswer+1))
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return nil, ErrEncoding
	case err != nil:
		return nil, fmt.Errorf("egress: read the answer: %w", err)
	case len(data) > MaxAnswer:
		return nil, ErrTooLarge
	}
	return data, nil
}

// RetryAfter reads the header of that name: a number of seconds or a date. It
// is nil where there is none that can be read.
func RetryAfter(header http.Header, now time.Time) *time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return nil
	}
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		delay := time.Duration(seconds) * time.Second
		return &delay
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return nil
	}
	delay := max(at.Sub(now), 0)
	return &delay
}
