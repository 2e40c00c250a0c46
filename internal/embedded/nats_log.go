package embedded

import (
	"errors"
	"fmt"
	"log/slog"
)

// natsLog hands the server's warnings and errors on. What the server calls
// fatal it hands to the one who waits for the start: the server's own logger
// would end the process.
type natsLog struct {
	logger *slog.Logger
	fatal  chan error
}

func newNATSLog(logger *slog.Logger) *natsLog {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &natsLog{logger: logger.With("component", "nats"), fatal: make(chan error, 1)}
}

func (l *natsLog) Warnf(format string, v ...any)  { l.logger.Warn(fmt.Sprintf(format, v...)) }
func (l *natsLog) Errorf(format string, v ...any) { l.logger.Error(fmt.Sprintf(format, v...)) }

func (l *natsLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.logger.Error(text)
	select {
	case l.fatal <- errors.New(text):
	default:
	}
}

func (*natsLog) Noticef(string, ...any) {}
func (*natsLog) Debugf(string, ...any)  {}
func (*natsLog) Tracef(string, ...any)  {}
