# Usher. `make` prints what there is.
SHELL := /bin/bash
GO ?= go
LINT_VERSION := v2.5.0
PKG ?= ./...
FUZZTIME ?= 30s
# The race detector watches everything but SQLite itself, which is C translated
# to Go: watched it is five times slower, and its locks are seen all the same.
RACE := -race -gcflags=modernc.org/...=-race=false
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F':.*## ' '/^[a-z][a-z0-9_\/-]*:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/usher
	$(GO) build -trimpath -ldflags "-X usher/internal/cli.Version=$(VERSION)" -o bin/usher ./cmd/usher

.PHONY: run
run: ## Start the server with its data in ./usher-data
	$(GO) run ./cmd/usher serve --data usher-data

.PHONY: demo
demo: ## The whole story on bundled data: people in, audience at the network, proved
	$(GO) run ./cmd/usher demo

.PHONY: deps
deps: ## Install what the tests need (as root, with apt-get) or say what is missing
	@missing=""; \
	command -v gcc >/dev/null || missing="$$missing gcc"; \
	command -v g++ >/dev/null || missing="$$missing g++"; \
	command -v git >/dev/null || missing="$$missing git"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	test -x /usr/sbin/sshd || missing="$$missing openssh-server"; \
	test -x /usr/sbin/mariadbd || missing="$$missing mariadb-server"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing:$$missing"; \
	    DEBIAN_FRONTEND=noninteractive apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	  else \
	    echo "the tests need these packages, please install them: sudo apt-get install$$missing"; exit 3; \
	  fi; \
	fi

.PHONY: test
test: deps ## Every test, with the race detector
	USHER_MUST_RUN=browser,postgres,sshd,mariadb $(GO) test $(RACE) -shuffle=on -timeout 30m $(PKG)
	USHER_MUST_RUN=browser,postgres,sshd,mariadb $(GO) test -vet=off -count=1 -timeout 30m -run 'TestNoRetryStorm|TestNetworks$$|TestForgottenForGood$$|TestSourceStories$$|TestPublishers$$|Browser|TestKeys$$|TestNetworkPages$$|TestSuite$$|TestSyncTypes$$|TestRetryRule$$|TestGuardScenarios$$|TestGuardOnDuckDB$$|TestWhoIsLeftOut$$|TestAlwaysHung$$|TestHungProvider$$|TestSlowIsNotStalled$$|TestRandomHistories$$|TestPeopleAtWork$$|TestNightlyCutAnywhere$$|TestUnknownIsReadBack$$|TestLargeUploadAhead$$|TestAnUploadOfManyRows$$' ./internal/server/ ./internal/web/ ./internal/store/postgres/ ./internal/delivery/ ./internal/publishing/

.PHONY: kill
kill: ## The kill test: every crash point, then 50 random moments (SEED=n repeats one, KILLS=n)
	USHER_KILLS=$(or $(KILLS),50) USHER_SEED=$(SEED) $(GO) test -count=1 -timeout 60m -run 'TestKill|TestTakeover' -v ./internal/server/ ./internal/ingest/ ./internal/warehouse/duckdb/

.PHONY: soak-short
soak-short: ## A short campaign by seed: changes, decisions, crashes, faults, pauses, retries; then the sandbox is compared with a model
	USHER_SOAK=$(or $(STEPS),150) USHER_SEED=$(SEED) $(GO) test -count=1 -timeout 30m -run 'TestSoak' -v ./internal/server/

.PHONY: soak
soak: ## A long one (STEPS=n moves, default 5,000; SEED=n repeats one)
	USHER_SOAK=$(or $(STEPS),5000) USHER_SEED=$(SEED) $(GO) test -count=1 -timeout 12h -run 'TestSoak' -v ./internal/server/

.PHONY: storm
storm: ## A week of a network that always fails, in every way, with 1 and with 200 jobs
	USHER_STORM=all $(GO) test -count=1 -timeout 60m -run 'TestNoRetryStorm' -v ./internal/server/

.PHONY: conformance
conformance: ## Export workflow × case of the suite that each must pass; an empty cell fails
	@$(GO) test -count=1 -json -run 'Conformance$$' ./internal/provider/... | $(GO) run ./internal/provider/providertest/matrix

.PHONY: parity
parity: ## Operation × API, command line, console; an empty cell fails
	$(GO) test -count=1 -run 'TestParity' -v ./internal/cli/ | sed -e '/^=== /d'; exit $${PIPESTATUS[0]}

.PHONY: api-fuzz
api-fuzz: ## Send a real server what its OpenAPI document allows and forbids (needs python3 and a package index; EXAMPLES=n, SEED=n)
	scripts/api-fuzz

.PHONY: singer
singer: ## Install a public Singer tap and read with it twice, its state kept (needs python3 with venv and a package index)
	scripts/singer.sh

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (default 30s) each
	@set -e; for pkg in $$($(GO) list ./...); do \
	  dir=$$($(GO) list -f '{{.Dir}}' $$pkg); \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go 2>/dev/null | cut -c6-); do \
	    echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; done

.PHONY: bench
bench: ## Benchmarks (BENCH=regexp, SIZE=1000000 profiles)
	USHER_BENCH_SIZE=$(or $(SIZE),1000000) $(GO) test -run '^$$' -bench '$(or $(BENCH),.)' -benchtime 1x -timeout 60m $(PKG)

.PHONY: lint
lint: ## golangci-lint (the dependency rule among others), vet, tidy
	$(GO) vet ./...
	$(GO) mod tidy -diff
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION) run

.PHONY: fmt
fmt: ## Format all Go files
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION) fmt

.PHONY: vuln
vuln: ## Known vulnerabilities in what we depend on
	$(GO) run golang.org/x/vuln/cmd/govulncheck@latest ./...

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin dist
