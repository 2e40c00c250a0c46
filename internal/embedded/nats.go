// Package embedded runs the infrastructure that Parley needs inside its own
// process or as its child: a NATS server with JetStream, and a private
// Postgres. It is for the all-in-one on a laptop and for tests; a deployment
// brings its own.
//
// What it starts listens on loopback or on a unix socket, keeps its files in
// the directory that it is given, installs no signal handler, and never ends
// the process: a taken port, a directory in use or a missing binary is an
// error that says so.
package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// NATSOptions say how the embedded NATS server runs.
type NATSOptions struct {
	// Dir holds the store. It is created if it does not exist. One server at
	// a time may use it.
	Dir string
	// Addr is the address of the listener, host:port. Port 0 or -1 takes any
	// free one. Empty is any free port on loopback.
	Addr string
	// Sync says when writes are flushed to disk: "always", before they are
	// acknowledged, or a duration between flushes, as "2m". Empty is always.
	Sync string
	// Logger gets the server's warnings and errors. Nil drops them.
	Logger *slog.Logger
}

// NATS is a running server.
type NATS struct {
	server *server.Server
	url    string
	lock   *dirLock
	close  sync.Once
}

// StartNATS starts a server and returns when it takes connections. The server
// runs until Close, also if ctx ends later. Errors are ErrAddressTaken,
// ErrDirInUse, ErrOptions and whatever kept the store from opening.
func StartNATS(ctx context.Context, o NATSOptions) (*NATS, error) {
	options, err := serverOptions(o)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(options.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded: NATS store: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	n, err := start(ctx, options, o.Logger)
	if err != nil {
		lock.release()
		return nil, err
	}
	n.lock = lock
	return n, nil
}

// URL is where clients connect.
func (n *NATS) URL() string { return n.url }

// Close stops the server and waits until its store is closed. Calling it again
// does nothing.
func (n *NATS) Close() {
	n.close.Do(func() {
		n.server.Shutdown()
		n.server.WaitForShutdown()
		n.lock.release()
	})
}

func serverOptions(o NATSOptions) (*server.Options, error) {
	if o.Dir == "" {
		return nil, fmt.Errorf("%w: Dir is empty", ErrOptions)
	}
	host, port, err := splitAddr(o.Addr)
	if err != nil {
		return nil, err
	}
	always, interval, err := parseSync(o.Sync)
	if err != nil {
		return nil, err
	}
	return &server.Options{
		ServerName:   "parley",
		Host:         host,
		Port:         port,
		JetStream:    true,
		StoreDir:     filepath.Clean(o.Dir),
		SyncAlways:   always,
		SyncInterval: interval,
		NoSigs:       true,
	}, nil
}

func splitAddr(addr string) (host string, port int, err error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("%w: NATS address %q: want host:port", ErrOptions, addr)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < -1 || port > 65535 {
		return "", 0, fmt.Errorf("%w: NATS address %q: bad port", ErrOptions, addr)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

func parseSync(s string) (always bool, interval time.Duration, err error) {
	if s == "" || s == "always" {
		return true, 0, nil
	}
	interval, err = time.ParseDuration(s)
	if err != nil || interval <= 0 {
		return false, 0, fmt.Errorf("%w: NATS sync %q: want \"always\" or a duration", ErrOptions, s)
	}
	return false, interval, nil
}

func start(ctx context.Context, options *server.Options, logger *slog.Logger) (*NATS, error) {
	// The server opens its store before its listener. Looking at the address
	// first leaves the store alone when the port belongs to somebody else.
	if err := checkFree(ctx, options); err != nil {
		return nil, err
	}
	srv, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("embedded: NATS: %w", err)
	}
	log := newNATSLog(logger)
	srv.SetLoggerV2(log, false, false, false)
	warnIfOpen(log.logger, options.Host)

	go srv.Start()
	if err := awaitReady(ctx, srv, log.fatal); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, err
	}
	return &NATS{server: srv, url: "nats://" + srv.Addr().String()}, nil
}

func checkFree(ctx context.Context, options *server.Options) error {
	if options.Port == server.RANDOM_PORT {
		return nil
	}
	addr := net.JoinHostPort(options.Host, strconv.Itoa(options.Port))
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		if isAddressInUse(err) {
			return fmt.Errorf("%w: %s", ErrAddressTaken, addr)
		}
		return fmt.Errorf("embedded: NATS cannot listen on %s: %w", addr, err)
	}
	return l.Close()
}

// awaitReady waits as long as it takes: opening a large store after a crash
// may need minutes.
func awaitReady(ctx context.Context, srv *server.Server, fatal <-chan error) error {
	ready := make(chan struct{})
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for waiting.Err() == nil {
			if srv.ReadyForConnections(time.Second) {
				close(ready)
				return
			}
		}
	}()
	select {
	case <-ready:
		return nil
	case err := <-fatal:
		return fmt.Errorf("embedded: NATS: %w", err)
	case <-ctx.Done():
		return fmt.Errorf("embedded: NATS did not become ready: %w", context.Cause(ctx))
	}
}

func warnIfOpen(logger *slog.Logger, host string) {
	if host == "localhost" {
		return
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return
	}
	logger.Warn("the embedded NATS has no passwords and does not listen on loopback only", "host", host)
}
