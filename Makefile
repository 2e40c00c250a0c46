# Everything that is done with this repository has a target here. A checkout, Go,
# make and git are enough; what else is needed comes with `make deps`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The modules of the workspace, as go.work lists them.
MODULES := $(shell sed -n 's|^[[:space:]]*\(\./[^[:space:]]*\).*|\1|p' go.work)
PACKAGES := $(addsuffix /...,$(MODULES))
E2E := ./cmd/parley/e2e/...
FAULTS := TestKill|TestOutage|TestRace|TestExpiry|TestDisaster|TestReadYourWrites

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -X github.com/parley-dsr/parley/internal/process.version=$(VERSION)
BINARIES := ./cmd/parley ./services/config/cmd/parley-config ./services/orchestrator/cmd/parley-orchestrator \
	./services/dispatcher/cmd/parley-dispatcher ./services/callback/cmd/parley-callback

GOLANGCI := bin/tools/golangci-lint

# What `make test` runs, in this order: the quick checks first.
STEPS := deps fmt-check vet build lint modules generated test-unit e2e

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## Install what Go does not bring: Postgres, a C compiler for the race detector
	@tools/deps

.PHONY: build
build: ## Build the five binaries into bin/
	@mkdir -p bin
	go build -ldflags '$(LDFLAGS)' -o bin/ $(BINARIES)

.PHONY: run
run: deps build ## Run everything in one process (parley serve)
	bin/parley serve

.PHONY: demo
demo: deps build ## Play the story of a privacy request and print its timeline
	bin/parley demo

.PHONY: test
test: ## Run every check that must pass before a change lands
	@tools/steps $(MAKE) $(STEPS)

# The libraries that deploy loads what is shipped with are large; its tests do
# without the race detector, for which all of them would be compiled once more.
.PHONY: test-unit
test-unit: ## Run the tests of all modules but the end-to-end ones, with the race detector
	go test -race -timeout 30m $$(go list $(PACKAGES) | grep -v -e /cmd/parley/e2e -e /parley/deploy)
	go test -timeout 30m ./deploy/...

.PHONY: e2e
e2e: ## Run the end-to-end tests: four processes, NATS and Postgres
	go test -race -count=1 -timeout 40m $(E2E)

.PHONY: bench
bench: ## Measure lifecycles over the real stack beside a bare floor; SCENARIO and FLAGS for others, go run ./bench/lifecycle -h
	@mkdir -p bin
	go build -trimpath -o bin/bench-lifecycle ./bench/lifecycle
	bin/bench-lifecycle $(SCENARIO:%=-scenario %) -out bench/out/lifecycle$(SCENARIO:%=-%).json $(FLAGS)

.PHONY: bench-dispatch
bench-dispatch: ## Measure calls a second beside bare posts; SCENARIO and FLAGS for others, go run ./bench/dispatch -h
	@mkdir -p bin
	go build -trimpath -o bin/bench-dispatch ./bench/dispatch
	bin/bench-dispatch $(SCENARIO) -out bench/out/dispatch$(SCENARIO:%=-%).json $(FLAGS)

.PHONY: test-dispatch
test-dispatch: ## Restart NATS below 10 000 retries, and kill one of two dispatchers with 20 000 calls
	@mkdir -p bin
	go build -trimpath -o bin/bench-dispatch ./bench/dispatch
	bin/bench-dispatch retries -delay 60s
	bin/bench-dispatch failover

.PHONY: bench-halts
bench-halts: ## Measure 100 000 halted requests: memory, expiry, resume; FLAGS for others, go run ./bench/halts -h
	@mkdir -p bin
	go build -trimpath -o bin/bench-halts ./bench/halts
	bin/bench-halts -out bench/out/halts.json $(FLAGS)

.PHONY: test-faults
test-faults: ## Kill, race, expire and restore under load, and end with nothing lost
	go test -count=1 -tags faults ./cmd/parley/e2e -run '$(FAULTS)' -timeout 40m -parallel 3 $(FLAGS)
	@$(MAKE) --no-print-directory test-rounds

# One round is reproduced by its seed: make test-rounds ROUNDS=1 SEED=…
ROUNDS ?= 20
SEED ?=

.PHONY: test-rounds
test-rounds: ## Break everything at random below 300 requests, ROUNDS times, and check what must be true; SEED repeats a round
	PARLEY_FAULT_ROUNDS='$(ROUNDS)' PARLEY_FAULT_SEED='$(SEED)' \
		go test -v -count=1 -tags faults ./cmd/parley/e2e/rounds -run '^TestRounds$$' -timeout 90m

.PHONY: test-upgrade
test-upgrade: ## Run the version before beside this one, in both orders; BEFORE=<revision> for another than HEAD~1
	BEFORE='$(BEFORE)' go test -v -race -count=1 -tags upgrade ./cmd/parley/e2e -run '^TestUpgrade' -timeout 20m -parallel 3 $(FLAGS)

.PHONY: bench-search
bench-search: ## Measure every filter and sort of the list over 200 000 stored requests; SEARCH_ROWS for others
	go test -run '^$$' -bench '^BenchmarkSearch$$' -benchtime 1x -timeout 30m ./services/orchestrator/internal/readmodel

.PHONY: bench-projection
bench-projection: ## Measure what it costs to write requests: the indexes of the search, the feeds of the read model
	go test -run '^$$' -bench '^Benchmark(Projection|Feeds)$$' -benchtime 1x -timeout 30m ./services/orchestrator/internal/readmodel

.PHONY: bench-config
bench-config: ## Measure management with 1 000 connections and 200 policies of 50 webhooks: time, statements, allocations
	go test -run '^$$' -bench Management -benchtime 100x -timeout 30m ./services/config/internal/rest

.PHONY: lint
lint: $(GOLANGCI) ## Run the linters
	$(GOLANGCI) run --allow-parallel-runners $(PACKAGES)

.PHONY: fmt
fmt: ## Format the Go files
	gofmt -w $(MODULES)

.PHONY: fmt-check
fmt-check: ## Fail if a Go file is not formatted
	@unformatted=$$(gofmt -l $(MODULES)); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi

.PHONY: vet
vet: ## Run go vet
	go vet $(PACKAGES)
	go vet -tags faults $(E2E)
	go vet -tags upgrade $(E2E)

.PHONY: modules
modules: ## Build every module by itself, and check that its go.mod is tidy
	@for module in $(MODULES); do \
		echo "module $$module"; \
		(cd $$module && export GOWORK=off && go build -o /dev/null ./... && go vet ./... && go mod tidy -diff); \
	done

.PHONY: tidy
tidy: ## Tidy every module
	@for module in $(MODULES); do echo "module $$module"; (cd $$module && GOWORK=off go mod tidy); done

# The generators are pinned in tools/go.mod. They run outside of the workspace,
# which would not let them.
.PHONY: generate
generate: ## Generate code anew, from the OpenAPI documents and the SQL
	@for module in $(MODULES); do (cd $$module && GOWORK=off go generate ./...); done

.PHONY: generated
generated: ## Fail if the generated code is not what make generate writes
	@sum() { find $(MODULES) -type f -name '*.go' -exec sha256sum {} + | sort -u; }; \
	before=$$(mktemp); after=$$(mktemp); trap 'rm -f "$$before" "$$after"' EXIT; \
	sum >"$$before"; \
	$(MAKE) --no-print-directory generate; \
	sum >"$$after"; \
	if cmp -s "$$before" "$$after"; then exit 0; fi; \
	echo "generated code was stale; it has been written anew, commit it:"; \
	sort "$$before" "$$after" | uniq -u | cut -c67- | sort -u; exit 1

.PHONY: ci
ci: ## Run what the CI runs
	.ci/run

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin

$(GOLANGCI): tools/go.mod tools/go.sum
	@mkdir -p $(@D)
	cd tools && GOWORK=off go build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@
