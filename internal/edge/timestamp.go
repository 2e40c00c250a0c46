package edge

import (
	"errors"
	"strings"
	"time"
)

// Timestamp is a time as the REST answers show it: ISO 8601, UTC, with
// microseconds unless there are none, and Z (contract §0.6).
type Timestamp time.Time

// FormatTimestamp writes a time as Timestamp does.
func FormatTimestamp(t time.Time) string {
	t = t.UTC().Truncate(time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}

// TimestampOf gives a pointer for a time that may be missing.
func TimestampOf(t *time.Time) *Timestamp {
	if t == nil {
		return nil
	}
	stamp := Timestamp(*t)
	return &stamp
}

// Time gives the time.
func (t Timestamp) Time() time.Time { return time.Time(t) }

// String is the text of the answer.
func (t Timestamp) String() string { return FormatTimestamp(time.Time(t)) }

// MarshalJSON writes the text of the answer.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.String() + `"`), nil
}

var errTimestamp = errors.New("edge: not a timestamp")

// UnmarshalJSON reads what MarshalJSON writes, and any other RFC 3339 time.
func (t *Timestamp) UnmarshalJSON(data []byte) error {
	text, quoted := strings.CutPrefix(string(data), `"`)
	text, closed := strings.CutSuffix(text, `"`)
	read, err := time.Parse(time.RFC3339Nano, text)
	if !quoted || !closed || err != nil {
		return errTimestamp
	}
	*t = Timestamp(read)
	return nil
}
