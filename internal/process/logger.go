package process

import (
	"io"
	"log/slog"
)

// NewLogger writes JSON, or text, as the settings say; every line names the
// service.
func NewLogger(w io.Writer, s Settings, service string) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.LogLevel}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if s.LogFormat == "text" {
		handler = slog.NewTextHandler(w, options)
	}
	return slog.New(handler).With("service", service)
}
