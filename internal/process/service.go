package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Service is the whole main of a service's binary:
//
//	func main() {
//		process.Service("config", config.Run, map[string]string{"PARLEY_HTTP_ADDR": "127.0.0.1:8081"})
//	}
//
// It loads the settings from the environment over the given defaults, makes the
// dependencies, runs, and logs the start and the end. Settings embed
// process.Settings. The flags --version and --help answer and end.
func Service[T interface{ Shared() Settings }](name string, run func(context.Context, T, Deps) error, defaults map[string]string) {
	Main(name, func(ctx context.Context, environ map[string]string) error {
		if len(os.Args) > 1 {
			return flags[T](os.Stdout, name, os.Args[1:], defaults)
		}
		return runService(ctx, name, environ, run, defaults)
	})
}

func runService[T interface{ Shared() Settings }](ctx context.Context, name string, environ map[string]string, run func(context.Context, T, Deps) error, defaults map[string]string) error {
	settings, err := Load[T](environ, defaults)
	if err != nil {
		return err
	}
	deps, stop, err := NewDeps(ctx, name, settings.Shared())
	if err != nil {
		return err
	}
	defer stop()
	deps.Logger.Info("starting", "version", deps.Version, "settings", Summary(settings))
	if err := run(ctx, settings, deps); err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
		return err
	}
	deps.Logger.Info("stopped")
	return nil
}

func flags[T any](w io.Writer, name string, args []string, defaults map[string]string) error {
	switch args[0] {
	case "--version", "-version", "version":
		_, err := fmt.Fprintln(w, programName(name), Version())
		return err
	case "--help", "-help", "-h", "help":
		_, _ = fmt.Fprintf(w, "%s is a service of Parley. Settings come from the environment:\n\n", programName(name))
		PrintSettings[T](w, defaults)
		return nil
	default:
		return errors.New("takes no arguments: settings come from the environment, --help lists them")
	}
}
