module github.com/parley-dsr/parley/cmd/parley

go 1.26.0

require (
	github.com/parley-dsr/parley/internal v0.0.0
	github.com/parley-dsr/parley/internal/embedded v0.0.0
	github.com/parley-dsr/parley/pkg/events v0.0.0
	github.com/parley-dsr/parley/services/config v0.0.0
	github.com/parley-dsr/parley/services/orchestrator v0.0.0
	github.com/parley-dsr/parley/services/dispatcher v0.0.0
	github.com/parley-dsr/parley/services/callback v0.0.0
)

replace (
	github.com/parley-dsr/parley/internal => ../../internal
	github.com/parley-dsr/parley/internal/embedded => ../../internal/embedded
	github.com/parley-dsr/parley/pkg/events => ../../pkg/events
	github.com/parley-dsr/parley/services/config => ../../services/config
	github.com/parley-dsr/parley/services/orchestrator => ../../services/orchestrator
	github.com/parley-dsr/parley/services/dispatcher => ../../services/dispatcher
	github.com/parley-dsr/parley/services/callback => ../../services/callback
)
