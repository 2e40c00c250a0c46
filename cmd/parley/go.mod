module github.com/parley-dsr/parley/cmd/parley

go 1.26.0

require (
	github.com/parley-dsr/parley/internal v0.0.0
	github.com/parley-dsr/parley/internal/embedded v0.0.0
	github.com/parley-dsr/parley/pkg/events v0.0.0
	github.com/parley-dsr/parley/services/callback v0.0.0
	github.com/parley-dsr/parley/services/config v0.0.0
	github.com/parley-dsr/parley/services/dispatcher v0.0.0
	github.com/parley-dsr/parley/services/orchestrator v0.0.0
)

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/prometheus/client_golang v1.25.0 // indirect
	github.com/spf13/cobra v1.10.2 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	golang.org/x/sync v0.24.0 // indirect
)

replace (
	github.com/parley-dsr/parley/internal => ../../internal
	github.com/parley-dsr/parley/internal/embedded => ../../internal/embedded
	github.com/parley-dsr/parley/pkg/events => ../../pkg/events
	github.com/parley-dsr/parley/services/callback => ../../services/callback
	github.com/parley-dsr/parley/services/config => ../../services/config
	github.com/parley-dsr/parley/services/dispatcher => ../../services/dispatcher
	github.com/parley-dsr/parley/services/orchestrator => ../../services/orchestrator
)
