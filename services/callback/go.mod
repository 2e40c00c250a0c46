module github.com/parley-dsr/parley/services/callback

go 1.26.0

require (
	github.com/parley-dsr/parley/internal v0.0.0
	github.com/parley-dsr/parley/internal/embedded v0.0.0
	github.com/parley-dsr/parley/pkg/events v0.0.0
)

require (
	github.com/apapsch/go-jsonmerge/v2 v2.0.0 // indirect
	github.com/go-chi/chi/v5 v5.5.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/nats-io/nats.go v1.55.0 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	github.com/oapi-codegen/runtime v1.8.0 // indirect
	github.com/prometheus/client_golang v1.25.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace (
	github.com/parley-dsr/parley/internal => ../../internal
	github.com/parley-dsr/parley/internal/embedded => ../../internal/embedded
	github.com/parley-dsr/parley/pkg/events => ../../pkg/events
)
