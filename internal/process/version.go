package process

import "runtime/debug"

// version is set by the linker (-X); see the Makefile.
var version string

// Version of this build: what the Makefile took from git, else what the Go
// toolchain recorded, else "devel".
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
