module github.com/parley-dsr/parley/internal/embedded

go 1.26.0

require (
	github.com/parley-dsr/parley/internal v0.0.0
	github.com/parley-dsr/parley/pkg/events v0.0.0
)

replace (
	github.com/parley-dsr/parley/internal => ../../internal
	github.com/parley-dsr/parley/pkg/events => ../../pkg/events
)
