#!/usr/bin/env bash
# Installs the Python clients of the end-to-end tests into an environment of their own in the user's cache folder, and
# prints the path of its python. Does nothing but that when they are installed already.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=tests/native/repeating_clients.txt
folder="${XDG_CACHE_HOME:-$HOME/.cache}/roundtable/test-clients"
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
if ! cmp --quiet "$wanted" "$folder/installed.txt"; then
  python=/usr/bin/python3
  [ -x "$python" ] || python=python3
  "$python" -m venv --clear "$folder/venv" >&2
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --requirement "$wanted" >&2
  cp "$wanted" "$folder/installed.txt"
fi
echo "$folder/venv/bin/python"
