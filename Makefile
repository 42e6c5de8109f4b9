# Roundtable: `make help` lists what there is.
#
# Everything is built under one profile into one directory outside the checkout, so that RocksDB's C++ is
# compiled once per machine and not once per checkout, per command or per profile.

SHELL := /bin/bash
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/roundtable/target
BIN := $(CARGO_TARGET_DIR)/release
CARGO := scripts/cargo.sh

# Passed on to `roundtable up` and to the comparison with peers: make up ARGS="--nodes 5 --routers 2"
ARGS ?=

.PHONY: help
help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: build ## Starts three nodes and a router on this machine; data stays in ./data, Ctrl-C stops them.
	@exec $(BIN)/roundtable up $(ARGS)

.PHONY: test
test: setup ## Runs all checks: format, licences, clippy, documents, instruction counts, unit tests, end-to-end tests.
	@scripts/test.sh

.PHONY: build
build: setup ## Builds the three programs.
	@$(CARGO) build --release --workspace --bins --exclude roundtable-bench-peers

PREFIX ?= /usr/local

.PHONY: install
install: ## Installs what `make build` built: PREFIX=/usr/local, DESTDIR=folder to stage it; asks for sudo where needed.
	@BIN="$(BIN)" PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/install.sh

.PHONY: setup
setup: ## Installs what the build needs (Debian, Ubuntu), or says what is missing.
	@scripts/setup.sh

.PHONY: fmt
fmt: ## Formats the code.
	@cargo fmt --all

.PHONY: lint
lint: setup ## Runs clippy; a warning is an error.
	@$(CARGO) clippy --release --workspace --all-targets -- -D warnings

.PHONY: doc
doc: setup ## Builds the documentation of the code; a broken link is an error.
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps --document-private-items
	@echo "documentation: $(CARGO_TARGET_DIR)/doc/roundtable_consensus/index.html"

.PHONY: unit
unit: setup ## Runs the tests that start no processes.
	@$(CARGO) test --release --workspace --exclude roundtable-tests

.PHONY: model
model: setup ## Explores every order of events of larger scopes: many minutes.
	@$(CARGO) test --release --package roundtable-model -- --include-ignored --test-threads 1

.PHONY: e2e
e2e: build ## Runs the end-to-end tests alone; T=name runs those whose name contains it.
	@$(CARGO) test --release --package roundtable-tests $(T)

.PHONY: gauntlet
gauntlet: build ## Clients under faults of every kind, judged: make gauntlet SECONDS=300, SEED=7 for the same faults again.
	@$(CARGO) run --release --package roundtable-tests --example gauntlet -- $(or $(SECONDS),300) $(SEED) $(NET)

.PHONY: bench-micro
bench-micro: setup ## Runs the micro-benchmarks of the core: SAVE=name keeps the result, BASELINE=name compares with a kept one.
	@$(CARGO) bench --package roundtable-benches --benches -- $(if $(SAVE),--save-baseline $(SAVE)) $(if $(BASELINE),--baseline $(BASELINE))

.PHONY: instructions
instructions: setup ## Counts the instructions of a put and a get in the core, against benches/instructions.toml.
	@$(CARGO) test --release --workspace --test instructions -- --ignored --nocapture --test-threads 1

.PHONY: bench-peers
bench-peers: build ## Roundtable beside etcd and Redis, which it installs: 25 minutes, alone on the machine; QUICK=1, ARGS="--systems redis".
	@scripts/setup.sh --peers
	@$(CARGO) build --release --package roundtable-bench-peers --features etcd-grpc
	@exec $(BIN)/roundtable-bench-peers run $(if $(QUICK),--matrix quick --windows 1 --seconds 5) $(ARGS)

.PHONY: clean
clean: ## Deletes what cargo built (the next build takes long again); ./data stays.
	rm -rf "$(CARGO_TARGET_DIR)"

.PHONY: sim
sim: setup ## Plays simulated clusters: make sim FOR=60 (seconds) for new seeds, make sim SEED=7 replays one.
	@$(CARGO) run --release --package roundtable-simulation -- $(if $(SEED),--seed $(SEED),--seconds $(or $(FOR),60))
