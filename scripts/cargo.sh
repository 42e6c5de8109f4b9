#!/usr/bin/env bash
# cargo, with a sign of life: while RocksDB's C++ is compiled, cargo is silent for minutes, so this prints a
# line every 30 seconds with the time passed and the files done. Arguments and exit code are cargo's.
set -euo pipefail
cd "$(dirname "$0")/.."

export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/roundtable/target}"
build_scripts="$CARGO_TARGET_DIR/release/build"
files_in_all=350 # RocksDB's own count varies a little with its version

rocksdb_files() { # find's tests; of the newest build, others may lie beside it
  local newest
  newest=$(find "$build_scripts" -maxdepth 2 -path '*/librocksdb-sys-*/out' -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1)
  [ -n "$newest" ] || return 0
  find "${newest#* }" "$@" 2>/dev/null
}

heartbeat() { # the process to watch
  local started=$SECONDS minutes seconds
  while sleep 30 >/dev/null 2>&1 && kill -0 "$1" 2>/dev/null; do
    [ -n "$(rocksdb_files -name '*.o' -mmin -1)" ] || continue
    minutes=$(((SECONDS - started) / 60)) seconds=$(((SECONDS - started) % 60))
    printf 'build: %d min %02d s, RocksDB: %d of about %d files compiled\n' \
      "$minutes" "$seconds" "$(rocksdb_files -name '*.o' | wc -l)" "$files_in_all"
  done
}

if [ -z "$(rocksdb_files -name librocksdb.a)" ]; then
  printf 'build: the first build compiles RocksDB into %s: about 20 minutes on two cores, once per machine\n' \
    "$CARGO_TARGET_DIR"
fi
heartbeat $$ >&2 &
heartbeat_pid=$!
trap 'kill "$heartbeat_pid" 2>/dev/null || true' EXIT
cargo "$@"
