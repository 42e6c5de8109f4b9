#!/usr/bin/env bash
# All checks, cheapest first; stops at the first that fails. Run by `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."

export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/roundtable/target}"
started=$SECONDS

step() { printf '\n== %s (after %d s)\n' "$*" "$((SECONDS - started))"; }

step "format"
cargo fmt --all --check

if command -v cargo-deny >/dev/null; then
  step "licences and banned crates"
  cargo deny --workspace check licenses bans
else
  step "licences: skipped, cargo-deny is not installed (cargo install cargo-deny)"
fi

step "build"
scripts/cargo.sh build --release --workspace --bins --exclude roundtable-bench-peers

step "clippy"
scripts/cargo.sh clippy --release --workspace --all-targets -- -D warnings

# Its driver of etcd is left out of the workspace's build: it compiles tonic, and needs protoc.
if command -v protoc >/dev/null; then
  step "clippy of the comparison with peers, etcd over gRPC included"
  scripts/cargo.sh clippy --release --package roundtable-bench-peers --features etcd-grpc --all-targets -- -D warnings
else
  step "clippy of the driver of etcd: skipped, protoc is not installed (make bench-peers installs it)"
fi

step "documentation of the code"
RUSTDOCFLAGS="-D warnings" scripts/cargo.sh doc --release --workspace --no-deps --document-private-items

step "examples in the documentation of the code"
scripts/cargo.sh test --release --workspace --doc

# Shown in full: a figure that has become much better passes, and asks to be committed.
step "instructions of the core against benches/instructions.toml"
scripts/cargo.sh test --release --workspace --test instructions -- --ignored --nocapture --test-threads 1

step "Python clients of the end-to-end tests"
scripts/test-clients.sh >/dev/null || echo "SKIPPED: the tests with aiohttp and urllib3 are left out"

step "tests"
if command -v cargo-nextest >/dev/null; then
  scripts/cargo.sh nextest run --release --workspace
else
  scripts/cargo.sh test --release --workspace --lib --bins --tests --examples
fi
