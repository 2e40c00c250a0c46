package process

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/pkg/events"
)

// Oldest server that has what the services need: message schedules, per-message
// TTLs and their markers.
const (
	oldestMajor = 2
	oldestMinor = 12
)

// A server that has gone silent, because its machine or the network to it is
// gone and no connection was ended, is left after this many pings without an
// answer and one interval more: 15 s, about what its followers take to elect
// another leader. The default of the library is 6 minutes.
const (
	pingEvery    = 5 * time.Second
	pingsWaiting = 2
)

// closeWithin bounds the wait for what was published and not yet sent.
const closeWithin = 5 * time.Second

// Connect returns a connection at once, whether the server is there or not: it
// is made, and after every loss made again, in the background and for ever,
// also while the server refuses the login. Changes go to the log.
//
// An error means that the settings are wrong: no URL, or a file that cannot be
// read. Wait for the server, and check its version, with AwaitNATS. Answers come
// to inboxes under the name of the service, which is that of its user. Further
// options (another inbox prefix, a name of its own) come last and win.
func Connect(_ context.Context, s Settings, service string, logger *slog.Logger, more ...nats.Option) (*nats.Conn, error) {
	if s.NATSURL == "" {
		return nil, NotSet("PARLEY_NATS_URL", "the URL of a NATS server, such as nats://127.0.0.1:4222")
	}
	options, err := access(s, service)
	if err != nil {
		return nil, err
	}
	options = append(options,
		nats.Name("parley-"+service),
		nats.CustomInboxPrefix(events.InboxPrefix(service)),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(500*time.Millisecond),
		nats.ReconnectJitter(500*time.Millisecond, time.Second),
		nats.PingInterval(pingEvery),
		nats.MaxPingsOutstanding(pingsWaiting),
		nats.DrainTimeout(closeWithin),
	)
	options = append(options, report(logger)...)
	nc, err := nats.Connect(s.NATSURL, append(options, more...)...)
	if err != nil {
		return nil, fmt.Errorf("PARLEY_NATS_URL, %s: %w", RedactURL(s.NATSURL), withoutURL(err))
	}
	return nc, nil
}

// withoutURL keeps an error of the URL parser, which repeats the URL and so the
// password in it, from being shown.
func withoutURL(err error) error {
	var unread *url.Error
	if errors.As(err, &unread) {
		return errors.New("not the URL of a NATS server")
	}
	return err
}

// access is who we are to the server, and TLS. The files are looked at here, so
// that an error names the variable; the client reads them again whenever it
// connects, and so sees rotated ones.
func access(s Settings, service string) ([]nats.Option, error) {
	var options []nats.Option
	if s.NATSCredentials != "" {
		option, err := credentials(s.NATSCredentials, service)
		if err != nil {
			return nil, err
		}
		options = append(options, option)
	}
	if s.NATSCAFile != "" {
		if err := check("PARLEY_NATS_CA_FILE", s.NATSCAFile, hasRoots); err != nil {
			return nil, err
		}
		options = append(options, nats.RootCAs(s.NATSCAFile))
	}
	if s.NATSCertFile != "" {
		isPair := func([]byte) error {
			_, err := tls.LoadX509KeyPair(s.NATSCertFile, s.NATSKeyFile)
			return err
		}
		if err := check("PARLEY_NATS_KEY_FILE", s.NATSKeyFile, nil); err != nil {
			return nil, err
		}
		if err := check("PARLEY_NATS_CERT_FILE", s.NATSCertFile, isPair); err != nil {
			return nil, err
		}
		options = append(options, nats.ClientCert(s.NATSCertFile, s.NATSKeyFile))
	}
	return options, nil
}

// check reads the file of a setting and looks at its content.
func check(name, path string, content func([]byte) error) error {
	text, err := os.ReadFile(path) //nolint:gosec // the path is the operator's
	if err != nil {
		return &SettingError{Name: name, Problem: "takes the path of a readable file: " + err.Error()}
	}
	if content == nil {
		return nil
	}
	if err := content(text); err != nil {
		return &SettingError{Name: name, Problem: path + ": " + err.Error()}
	}
	return nil
}

func hasRoots(text []byte) error {
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return errors.New("no PEM certificate in it")
	}
	return nil
}

// report logs what happens to the connection. The same reason is not repeated
// for every attempt.
func report(logger *slog.Logger) []nats.Option {
	var mu sync.Mutex
	last := ""
	tell := func(reason string) (changed bool) {
		mu.Lock()
		defer mu.Unlock()
		changed = reason != last
		last = reason
		return changed
	}
	server := func(nc *nats.Conn) slog.Attr { return slog.String("server", nc.ConnectedUrlRedacted()) }
	return []nats.Option{
		nats.ConnectHandler(func(nc *nats.Conn) {
			tell("")
			logger.Info("connected to NATS", server(nc), "version", nc.ConnectedServerVersion())
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			tell("")
			logger.Info("reconnected to NATS", server(nc), "version", nc.ConnectedServerVersion())
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				logger.Warn("lost the connection to NATS", "error", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil && tell(err.Error()) {
				logger.Warn("cannot connect to NATS, trying on", "error", err)
			}
		}),
		nats.ErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				logger.Error("NATS refuses what this user needs: its permissions are not those of this version", "error", err, server(nc))
				return
			}
			if sub != nil {
				logger.Warn("NATS reported an error", "error", err, "subscription", sub.Subject)
				return
			}
			logger.Warn("NATS reported an error", "error", err)
		}),
	}
}

// CheckServer refuses a NATS server that is too old, in one line that names its
// version and its address without the login. A version that cannot be read is
// refused as well.
func CheckServer(version, server string) error {
	major, minor, ok := parseVersion(version)
	if ok && (major > oldestMajor || major == oldestMajor && minor >= oldestMinor) {
		return nil
	}
	if version == "" {
		version = "an unknown version"
	}
	return fmt.Errorf("%w, %s is running at %s", ErrOldServer, version, RedactURL(server))
}

func parseVersion(version string) (major, minor int, ok bool) {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	major, err := strconv.Atoi(parts[0])
	if err != nil {
		return 0, 0, false
	}
	minor, err = strconv.Atoi(parts[1])
	return major, minor, err == nil
}

// AwaitNATS waits until the connection is made, then checks the server. The gate
// says what is missing meanwhile and is ready afterwards; it may be nil. The
// error is ErrOldServer, ErrClosed, or that of ctx.
func AwaitNATS(ctx context.Context, nc *nats.Conn, gate *Gate) error {
	changed := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(changed)
	for !nc.IsConnected() {
		if nc.IsClosed() {
			return ErrClosed
		}
		gate.Waiting("not connected")
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := CheckServer(nc.ConnectedServerVersion(), nc.ConnectedUrl()); err != nil {
		gate.Waiting(err.Error())
		return err
	}
	gate.Ready()
	return nil
}

// FollowNATS keeps the gate true to the connection until ctx ends, for services
// that are not ready while they cannot reach NATS. A server that comes back too
// old is ErrOldServer.
func FollowNATS(ctx context.Context, nc *nats.Conn, gate *Gate) error {
	changed := nc.StatusChanged()
	defer nc.RemoveStatusListener(changed)
	for {
		if err := AwaitNATS(ctx, nc, gate); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// closeNATS sends what is buffered, if there is a server, and closes.
func closeNATS(nc *nats.Conn) {
	if nc.IsConnected() {
		_ = nc.FlushTimeout(closeWithin)
	}
	nc.Close()
}
