package process

import (
	"errors"
	"strings"
)

// Errors of this package that callers tell apart.
var (
	// ErrOldServer says that the NATS server lacks what the services need.
	ErrOldServer = errors.New("NATS 2.12 or newer is required")
	// ErrClosed says that the connection to NATS was closed for good.
	ErrClosed = errors.New("the connection to NATS is closed")
	// ErrPanic is what a panic of a goroutine becomes.
	ErrPanic = errors.New("panic")
	// ErrDrain says that the process did not stop in time.
	ErrDrain = errors.New("did not stop in time")
)

// SettingError is one wrong setting. Its text is one line that names the
// variable and what it takes; it never holds the value, which may be a secret.
type SettingError struct {
	Name    string // of the environment variable
	Problem string // "takes …", "is not set: …"
}

func (e *SettingError) Error() string { return e.Name + " " + e.Problem }

// Takes is the error of a variable with a wrong value, for a Validate method:
// Takes("PARLEY_EXECUTION", "immediate or external").
func Takes(name, what string) error { return &SettingError{Name: name, Problem: "takes " + what} }

// NotSet is the error of a variable that is needed and missing.
func NotSet(name, what string) error {
	return &SettingError{Name: name, Problem: "is not set; it takes " + what}
}

// settingErrors are several wrong settings in one line.
type settingErrors []error

func (e settingErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = oneLine(err)
	}
	return strings.Join(texts, "; ")
}

func (e settingErrors) Unwrap() []error { return e }

// oneLine is the text of an error without line breaks.
func oneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines, "; ")
}
