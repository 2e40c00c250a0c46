package listener

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
)

// mostTries is how often one reply is sent at most.
const mostTries = 10

// reply does what a step says that comes after the answer.
func (l *Listener) reply(c receiver.Call, step Step) {
	switch {
	case step.ResumeAfter > 0 && c.ReplyTo() != "":
		l.after(time.Duration(step.ResumeAfter), "resume", func() (receiver.Reply, error) {
			return l.receiver.Resume(l.ctx, c, step.ResumeDerive)
		})
	case step.ResumeAfter > 0:
		l.print("  this call cannot be resumed: only two_way calls before the execution are halted")
	case step.Reply != "" && c.Header.Get("Reply-To-Eligible") != "":
		l.after(0, step.Reply, func() (receiver.Reply, error) {
			return l.receiver.Eligible(l.ctx, c, step.Reply == Eligible)
		})
	}
}

// after sends a reply after a while, and again where it was not taken.
func (l *Listener) after(wait time.Duration, name string, send func() (receiver.Reply, error)) {
	l.replies.Go(func() {
		for range mostTries {
			if !l.pause(wait) {
				return
			}
			reply, err := send()
			var again bool
			if wait, again = l.tell(name, reply, err); !again {
				return
			}
		}
		l.print(name + ": given up")
	})
}

// pause is false where the listener ends before it is over.
func (l *Listener) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// tell prints what became of a reply, and says whether to send it again, and
// when.
func (l *Listener) tell(name string, r receiver.Reply, err error) (wait time.Duration, again bool) {
	if l.ctx.Err() != nil {
		return 0, false
	}
	if errors.Is(err, receiver.ErrNoReply) {
		l.print(name + ": " + err.Error())
		return 0, false
	}
	if err == nil && r.Status != http.StatusServiceUnavailable && r.Status != http.StatusTooManyRequests {
		text := fmt.Sprintf("%s was answered %d", name, r.Status)
		if r.Status != http.StatusOK {
			text += " " + strings.TrimSpace(string(r.Body))
		}
		l.print(text)
		return 0, false
	}
	wait = l.options.RetryAfter
	why := fmt.Sprint(err)
	if err == nil {
		why = fmt.Sprintf("%d %s", r.Status, strings.TrimSpace(string(r.Body)))
		if seconds, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil && seconds > 0 {
			wait = time.Duration(seconds) * time.Second
		}
	}
	l.print(fmt.Sprintf("%s was not taken (%s), again in %s", name, why, wait))
	return wait, true
}

// summary is an answer in one line.
func summary(a receiver.Answer) string {
	return strings.TrimSpace(strconv.Itoa(a.Status) + " " + string(a.Body))
}

// known are the names of what is known of the person.
func known(identity map[string]any) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(identity)), func(name string) bool { return identity[name] == nil })
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
