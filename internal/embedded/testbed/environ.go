package testbed

import (
	"os"
	"strings"
)

// Environ is the environment of this process without Parley's settings, with the
// given ones: for a process of Parley that a test starts.
func Environ(settings map[string]string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PARLEY_") {
			env = append(env, v)
		}
	}
	for name, value := range settings {
		env = append(env, name+"="+value)
	}
	return env
}
