package events

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ExecutionTask is one execution as its handler gets it.
type ExecutionTask struct {
	Execution
	// Person is whom it is about: personal data, for the time of the handler.
	Person Person

	executor *executor
	delivery int
	progress atomic.Int64
}

// Progress tells the orchestrator that the execution is alive, which puts off
// its deadline. The message goes to the log of the request and must be free of
// personal data; values of Person that it has all the same are taken out. It may
// be empty.
func (t *ExecutionTask) Progress(ctx context.Context, message string) error {
	suffix := fmt.Sprintf(".progressed.%d.%d", t.delivery, t.progress.Add(1))
	return t.executor.publish(ctx, t.Execution, ExecutionProgressed, suffix, ExecutionData{Message: t.Person.withhold(message)})
}

// Fail is the error of a handler whose execution has failed. The message goes
// to the log of the request and must be free of personal data; values of Person
// that it has all the same are taken out.
func Fail(message string) error { return &failError{message} }

type failError struct{ message string }

func (e *failError) Error() string { return "events: the execution failed: " + e.message }

func failureText(err error) string {
	var fail *failError
	if errors.As(err, &fail) {
		return fail.message
	}
	return "The executor reported an error"
}

// Again is the error of a handler that wants the same execution once more: after
// a while, or after a growing pause if that is 0. It has time until the deadline
// of the execution.
func Again(after time.Duration, err error) error { return &againError{after: after, err: err} }

type againError struct {
	after time.Duration
	err   error
}

func (e *againError) Error() string {
	return fmt.Sprintf("events: the execution is to be tried again: %v", e.err)
}
func (e *againError) Unwrap() error { return e.err }
