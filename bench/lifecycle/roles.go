package main

import (
	"context"
	"errors"

	"github.com/parley-dsr/parley/bench/internal/child"
	"github.com/parley-dsr/parley/bench/internal/parts"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/callback"
	"github.com/parley-dsr/parley/services/config"
	"github.com/parley-dsr/parley/services/dispatcher"
	"github.com/parley-dsr/parley/services/orchestrator"
)

// The parts, in the order in which they are started and shown.
const (
	partNATS     = "nats"
	partPostgres = "postgres"
	partReceiver = "receiver"
)

var services = []string{"config", "orchestrator", "dispatcher", "callback"}

// roles are what this program does when it is started as a part.
func roles() map[string]child.Role {
	return map[string]child.Role{
		partNATS:       parts.NATS,
		partReceiver:   parts.Receiver,
		"config":       service("config", config.Run),
		"orchestrator": service("orchestrator", orchestrator.Run),
		"dispatcher":   service("dispatcher", dispatcher.Run),
		"callback":     service("callback", callback.Run),
	}
}

// service runs a service as its binary does, on any free port.
func service[T interface{ Shared() process.Settings }](name string, run func(context.Context, T, process.Deps) error) child.Role {
	return func(ctx context.Context, environ map[string]string) error {
		settings, err := process.Load[T](environ)
		if err != nil {
			return err
		}
		deps, stop, err := process.NewDeps(ctx, name, settings.Shared())
		if err != nil {
			return err
		}
		defer stop()
		socket, err := process.Socket(ctx, "127.0.0.1:0")
		if err != nil {
			return err
		}
		deps.Front = process.On(socket, deps.Logger)
		if err := child.Tell("http://" + socket.Addr().String()); err != nil {
			return err
		}
		if err := run(ctx, settings, deps); err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
			return err
		}
		return nil
	}
}
