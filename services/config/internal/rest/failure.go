package rest

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-dsr/parley/internal/identity"
)

// failure is why one item of a bulk change was not stored. It goes into the
// list of failures and holds back no other item.
type failure string

func (f failure) Error() string { return string(f) }

func failf(format string, args ...any) error { return failure(fmt.Sprintf(format, args...)) }

// failureText says whether an error concerns the item alone.
func failureText(err error) (string, bool) {
	var f failure
	if errors.As(err, &f) {
		return string(f), true
	}
	return "", false
}

// Texts that several resources share (contract §0.5).
func keyTaken(class, key string) string {
	return fmt.Sprintf("Key %s already exists in %s. Keys will be snake-cased names if not provided. "+
		"If you are seeing this error without providing a key, please provide a key or a different name.", key, class)
}

func nameTaken(class, name string) string {
	return fmt.Sprintf("Name %s already exists in %s.", name, class)
}

func nameless(class string) string { return class + " requires a name." }

// badKey does not repeat the value: a name may be anything.
func badKey() string {
	return "FidesKeys must only contain alphanumeric characters, '_' or '-', and have 1 to 255 of them."
}

// invalid makes one entry of a 422.
func invalid(msg string, loc ...any) identity.Problem {
	return identity.Problem{Type: "value_error", Loc: append([]any{"body"}, loc...), Msg: "Value error, " + msg}
}

// asJSON shows an item in the list of failures.
func asJSON(item any) json.RawMessage {
	text, err := json.Marshal(item)
	if err != nil {
		return json.RawMessage("null")
	}
	return text
}
