package listener

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
)

// ReadScript reads the steps of a file: a JSON list, one step a call, the last
// one for all further calls.
func ReadScript(file string) ([]Step, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the developer's own file
	if err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	var list []json.RawMessage
	err = json.NewDecoder(bytes.NewReader(text)).Decode(&list)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return nil, fmt.Errorf(`script %s: a script is a list of steps, such as [{"status":503},{"halt":true}]`, file)
	case err != nil:
		return nil, fmt.Errorf("script %s: %w", file, err)
	case len(list) == 0:
		return nil, fmt.Errorf("script %s: there is no step in it", file)
	}
	steps := make([]Step, len(list))
	for i, one := range list {
		if err := steps[i].read(one); err != nil {
			return nil, fmt.Errorf("script %s: step %d: %w", file, i+1, err)
		}
	}
	return steps, nil
}

func (s *Step) read(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(s)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field == "":
		return errors.New(`a step is an object, such as {"halt":true}`)
	case errors.As(err, &wrong):
		return fmt.Errorf("%s takes %s", wrong.Field, taken(wrong.Type))
	case err != nil:
		return err
	}
	return s.Validate()
}

// taken says what a member of this type takes.
func taken(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Duration]():
		return `a duration, such as "10s"`
	case t.Kind() == reflect.Int:
		return "a whole number, such as 503"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Map:
		return `identities, such as {"email":"a@example.com"}`
	}
	return "a text"
}
