package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

// answerWithin is how long requests in flight may take once the process stops.
const answerWithin = 10 * time.Second

// headersAtMost is how many bytes the headers of a request may have.
const headersAtMost = 64 << 10

// Limits are the times that a client has. A request and its answer are small; a
// client that trickles holds nothing for long.
type Limits struct {
	ReadHeader time.Duration // the headers, from the first byte or the end of the request before
	Read       time.Duration // the whole request
	Write      time.Duration // the request and its answer
	Idle       time.Duration // between two requests
}

// UsualLimits are those of every listener that is not given others.
func UsualLimits() Limits {
	return Limits{ReadHeader: 10 * time.Second, Read: time.Minute, Write: 90 * time.Second, Idle: 2 * time.Minute}
}

// Listen is a Front of its own: it listens on addr (host:port) when it is asked
// to serve.
func Listen(addr string, logger *slog.Logger) Front { return &listener{addr: addr, logger: logger} }

type listener struct {
	addr   string
	logger *slog.Logger
}

// Serve implements Front. When ctx ends it takes no more connections and gives
// the requests in flight ten seconds.
func (l *listener) Serve(ctx context.Context, service string, h http.Handler) error {
	if l.addr == "" {
		return NotSet("PARLEY_HTTP_ADDR", "an address to listen on, such as 127.0.0.1:8080")
	}
	socket, err := Socket(ctx, l.addr)
	if err != nil {
		return err
	}
	return On(socket, l.logger).Serve(ctx, service, h)
}

// Socket listens on addr, host:port; the error says what to do about it.
func Socket(ctx context.Context, addr string) (net.Listener, error) {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, explainListen(addr, err)
	}
	return socket, nil
}

// On is a Front over a socket that listens already.
func On(socket net.Listener, logger *slog.Logger) Front {
	return OnWithin(UsualLimits(), socket, logger)
}

// OnWithin is On with other limits.
func OnWithin(limits Limits, socket net.Listener, logger *slog.Logger) Front {
	return &open{limits: limits, socket: socket, logger: logger}
}

type open struct {
	limits Limits
	socket net.Listener
	logger *slog.Logger
}

// Serve implements Front.
func (o *open) Serve(ctx context.Context, service string, h http.Handler) error {
	o.logger.Info("listening", "addr", o.socket.Addr().String(), "service", service)
	return serve(ctx, o.limits, o.socket, h, o.logger)
}

func explainListen(addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: the address is already in use; PARLEY_HTTP_ADDR sets another one", addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("cannot listen on %s: not permitted; PARLEY_HTTP_ADDR sets another address", addr)
	default:
		return fmt.Errorf("cannot listen on %s (PARLEY_HTTP_ADDR): %w", addr, err)
	}
}

func serve(ctx context.Context, limits Limits, socket net.Listener, h http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: limits.ReadHeader,
		ReadTimeout:       limits.Read,
		WriteTimeout:      limits.Write,
		IdleTimeout:       limits.Idle,
		MaxHeaderBytes:    headersAtMost,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(socket) }()
	select {
	case err := <-served:
		return fmt.Errorf("listening on %s: %w", socket.Addr(), err)
	case <-ctx.Done():
	}
	answering, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	if err := server.Shutdown(answering); err != nil {
		logger.Warn("requests in flight were cut off", "after", answerWithin)
		_ = server.Close() // the second time, it only returns what Shutdown told
	}
	<-served
	return nil
}
