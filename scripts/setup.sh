#!/usr/bin/env bash
# Brings a machine to where `cargo build` works: system packages and the Rust toolchain.
# Installs on Debian and Ubuntu; elsewhere it says what to install. Takes less than a second when nothing is missing.
# With ROUNDTABLE_SETUP=check it installs nothing and fails if something is missing.
# With --peers it also brings what `make bench-peers` compares Roundtable with, and lets none of it run by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

# What each one is for: a C++ compiler and libclang build RocksDB and its bindings; curl fetches Rust and runs
# the README's first steps. The end-to-end tests import unicode-data, a real data set, give single processes a wrong
# clock with libfaketime, networks of their own with iproute2, and a systemd of their own; python3-venv holds HTTP clients
# (scripts/test-clients.sh); valgrind counts the core's instructions.
debian_packages=(build-essential clang libclang-dev pkg-config curl ca-certificates unicode-data libfaketime iproute2
  systemd python3-venv valgrind)
# The peers, the load tool, and what the driver of etcd is built with (protoc and the definitions that it includes).
peer_packages=(etcd-server redis-server wrk protobuf-compiler libprotobuf-dev)
mode="${ROUNDTABLE_SETUP:-install}"
with_peers=
if [ "${1:-}" = --peers ]; then
  with_peers=yes
  debian_packages+=("${peer_packages[@]}")
fi

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

missing_debian_packages() {
  local package
  for package in "${debian_packages[@]}"; do
    case "$(dpkg-query --show --showformat '${db:Status-Abbrev}' "$package" 2>/dev/null)" in
      ii*) ;;
      *) printf '%s\n' "$package" ;;
    esac
  done
}

# Packages start their services when they are installed, unless this file says no. One that is there already is the
# machine owner's and stays as it is.
service_policy=/usr/sbin/policy-rc.d
sudo=()

forbid_services() {
  [ ! -e "$service_policy" ] || return 0
  trap '"${sudo[@]}" rm -f "$service_policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$service_policy" >/dev/null
  "${sudo[@]}" chmod 755 "$service_policy"
}

# The services of these packages stay stopped, now and after the next start of the machine.
disable_services() {
  local package
  [ -d /run/systemd/system ] || return 0
  for package in "$@"; do
    case "$package" in
      etcd-server) "${sudo[@]}" systemctl disable --quiet --now etcd ;;
      redis-server) "${sudo[@]}" systemctl disable --quiet --now redis-server ;;
    esac
  done
}

install_debian_packages() {
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "neither root nor sudo: have someone run: apt-get install -y $*"
    sudo=(sudo)
  fi
  [ -z "$with_peers" ] || forbid_services
  apt_install "$@"
  [ -z "$with_peers" ] || disable_services "$@"
}

apt_install() {
  say "installing system packages: $*"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" && return
  say "refreshing the package index first"
  "${sudo[@]}" apt-get update
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

check_system_packages() {
  local missing=()
  if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    mapfile -t missing < <(missing_debian_packages)
    [ "${#missing[@]}" -eq 0 ] && return
    [ "$mode" = check ] && fail "missing system packages: apt-get install -y ${missing[*]}"
    install_debian_packages "${missing[@]}"
    return
  fi
  local tool
  for tool in c++ clang curl make ${with_peers:+etcd redis-server wrk protoc}; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  [ "${#missing[@]}" -eq 0 ] || fail "not found: ${missing[*]}. Please install a C++ compiler, clang with its \
library (libclang), make, curl${with_peers:+, etcd, Redis, wrk, protoc}. Debian names: ${debian_packages[*]}"
}

# The lowest Rust that the workspace builds with, from Cargo.toml.
rust_wanted() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }

rust_is_new_enough() {
  local have
  have="$(cargo --version 2>/dev/null | cut -d ' ' -f 2)" || return 1
  [ -n "$have" ] && [ "$(printf '%s\n' "$(rust_wanted)" "${have%%-*}" | sort -V | head -n 1)" = "$(rust_wanted)" ]
}

rust_is_complete() { rust_is_new_enough && cargo fmt --version && cargo clippy --version; }

check_rust() {
  rust_is_complete >/dev/null 2>&1 && return
  [ "$mode" = check ] && fail "Rust $(rust_wanted) or newer with rustfmt and clippy is needed: https://rustup.rs"
  if ! command -v rustup >/dev/null; then
    command -v cargo >/dev/null && fail "this Rust ($(cargo --version)) is too old or lacks rustfmt or clippy, and \
rustup is not there to help: Rust $(rust_wanted) or newer is needed, see https://rustup.rs"
    say "installing Rust into ~/.cargo with the installer of https://rustup.rs"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
      sh -s -- -y --profile minimal --component rustfmt,clippy
  fi
  rust_is_complete >/dev/null 2>&1 && return
  say "bringing the Rust toolchain up to date (rustfmt and clippy included)"
  rustup toolchain install stable --profile minimal --component rustfmt,clippy
  rust_is_complete >/dev/null 2>&1 ||
    fail "Rust $(rust_wanted) or newer with rustfmt and clippy is needed; the one in use is: $(cargo --version)"
}

export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
check_system_packages
check_rust
