module github.com/parley-dsr/parley/pkg/events

go 1.26.0

