package testbed

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// ServeNATS is a NATS server with a configuration file, as a process of its own
// would be one: what the file takes from the environment is that of this
// process, and the log goes to standard error. It listens on addr instead of
// where the file says, has no monitoring, and runs until ctx ends.
func ServeNATS(ctx context.Context, file, addr string) error {
	srv, err := configured(file, addr)
	if err != nil {
		return err
	}
	srv.ConfigureLogger()
	go srv.Start()
	<-ctx.Done()
	srv.Shutdown()
	srv.WaitForShutdown()
	return nil
}

func configured(file, addr string) (*server.Server, error) {
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		return nil, fmt.Errorf("testbed: %w", err)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("testbed: %w", err)
	}
	options.Host, options.HTTPHost, options.HTTPPort, options.NoSigs = host, "", 0, true
	if options.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("testbed: %w", err)
	}
	srv, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("testbed: %w", err)
	}
	return srv, nil
}
