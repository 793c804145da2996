# The one front door: people and CI call these targets, and CI calls no other thing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# One cargo profile and one selection of crates for running and testing: it compiles in a fraction
# of release's time, and what one target built, the next one finds.
PROFILE := --profile ci
SERVICES := -p mcp-exporter -p mcp-health-monitor -p mcp-remediation -p mcp-tap -p mcpmon
# Cargo chooses features for what it is asked to build: the stages of the test ask for the same
# everything, so that what nextest compiled serves them all.
EVERYTHING := --workspace --all-targets
BINARIES = $(or $(CARGO_TARGET_DIR),target)/ci

# In CI the lock file is law and a warning is an error.
LOCKED := $(if $(CI),--locked)
DENY_WARNINGS := $(if $(CI),-- -D warnings)
NEXTEST_PROFILE := $(if $(CI),ci,make)
NEXTEST_THREADS := $(shell expr 4 \* $$(nproc))

WITH_DEPS := tests/tools/with-deps

##@ Use

.PHONY: run
run: ## Start everything with demo traffic, e.g. make run ARGS="--for 20s"
	@echo "Building mcpmon; the first time this takes a few minutes, for every dependency is compiled."
	@cargo build $(PROFILE) $(LOCKED) $(SERVICES)
	@exec $(BINARIES)/mcpmon run --demo $(ARGS)

.PHONY: build
build: ## Compile the optimised programs into target/release
	cargo build --release $(LOCKED) $(SERVICES)

##@ Test

STAGES := test-deps fmt clippy deny nextest doctests rustdoc generate-check e2e rules dashboards stack

.PHONY: test
test: ## Run every stage below and say what each took
	@tests/tools/stages $(STAGES)

.PHONY: test-deps
test-deps: ## Install what the tests need and the machine lacks, into a cache outside the clone
	@tests/tools/test-deps

.PHONY: fmt
fmt: ## Check the format
	@cargo fmt --all --check || { echo "make format puts it right"; exit 1; }

.PHONY: clippy
clippy: ## Look for mistakes; warnings are errors when CI is set
	cargo clippy $(PROFILE) $(LOCKED) --workspace --all-targets $(DENY_WARNINGS)

.PHONY: deny
deny: test-deps ## Check the dependencies' licences, duplicates and sources
	@$(WITH_DEPS) cargo deny --workspace check bans licenses sources

.PHONY: nextest
nextest: test-deps ## Run the Rust tests, e.g. make nextest ARGS="-p mcp-tap"
	@$(WITH_DEPS) cargo nextest run --profile $(NEXTEST_PROFILE) --test-threads $(NEXTEST_THREADS) \
		--cargo-profile ci $(LOCKED) $(or $(ARGS),--workspace)

.PHONY: doctests
doctests: ## Run the examples in the documentation
	cargo test $(PROFILE) $(LOCKED) --quiet --workspace --doc

.PHONY: rustdoc
rustdoc: ## Build the documentation; a warning is an error
	RUSTDOCFLAGS="-D warnings" cargo doc $(PROFILE) $(LOCKED) --workspace --no-deps

.PHONY: generate-check
generate-check: ## Check that the generated files are up to date
	cargo build $(PROFILE) $(LOCKED) $(EVERYTHING)
	@$(BINARIES)/xtask check

.PHONY: e2e
e2e: test-deps ## Drive third-party clients and servers through the product, e.g. make e2e ARGS="-k git"
	cargo build $(PROFILE) $(LOCKED) $(EVERYTHING)
	@MCPMON_BINARIES="$(abspath $(BINARIES))" $(WITH_DEPS) tests/e2e/run $(ARGS)

.PHONY: conformance
conformance: test-deps ## Run the MCP conformance suites directly and through the tap, for servers and clients
	cargo build $(PROFILE) $(LOCKED) $(EVERYTHING)
	@MCPMON_BINARIES="$(abspath $(BINARIES))" $(WITH_DEPS) tests/e2e/run -s -m "thorough or not thorough" test_conformance.py $(ARGS)

.PHONY: fuzz
fuzz: test-deps ## Throw more at the tap's HTTP side than the tests do, e.g. make fuzz CASES=100000
	@PROPTEST_CASES=$(or $(CASES),20000) $(WITH_DEPS) cargo nextest run --profile fuzz --cargo-profile ci \
		$(LOCKED) --workspace --test fuzz --test http -E 'package(mcp-tap) and test(/fuzz_/)'

.PHONY: rules
rules: test-deps ## Test the alerts: promtool, a real Prometheus and a real Alertmanager
	cargo build $(PROFILE) $(LOCKED) $(EVERYTHING)
	@MCPMON_BINARIES="$(abspath $(BINARIES))" $(WITH_DEPS) tests/rules/run $(ARGS)

.PHONY: dashboards
dashboards: test-deps ## Test the dashboards: every query against a real Prometheus, every panel's schema
	cargo build $(PROFILE) $(LOCKED) $(EVERYTHING)
	@MCPMON_BINARIES="$(abspath $(BINARIES))" $(WITH_DEPS) tests/dashboards/run $(ARGS)

##@ Develop

.PHONY: format
format: ## Format the code
	cargo fmt --all

.PHONY: lint
lint: fmt clippy deny ## The quick checks: fmt, clippy and deny

.PHONY: generate
generate: ## Write the generated files anew
	cargo run $(PROFILE) -p xtask -- generate

.PHONY: bench
bench: ## Run the benchmarks, each interleaved with its baseline
	@tests/tools/test-deps bench
	cargo build --release $(LOCKED) $(SERVICES)
	@$(WITH_DEPS) cargo run --release $(LOCKED) -p mcpmon-bench -- $(ARGS)

.PHONY: repair-times
repair-times: test-deps ## Measure how long failures take to be detected and repaired, some minutes
	@$(WITH_DEPS) cargo nextest run --cargo-profile ci $(LOCKED) --workspace --no-capture \
		--run-ignored only -E 'package(mcp-remediation) and test(/^measure::/)'

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

include deploy/stack.mk
