#!/usr/bin/env bash
# Installs what `make build` built: the programs, units for systemd, the documents, and files of settings where there
# are none yet. Run by `make install`; its lines in the Makefile set these variables:
#   BIN      the folder of the built programs
#   PREFIX   where to install, /usr/local or /usr: systemd looks for units in both
#   DESTDIR  a folder to stage everything in, for a package; the machine itself is left as it is
# Without DESTDIR it runs the privileged commands through sudo unless it is run by root, creates the user of the nodes,
# and has systemd read the new units. It restarts nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${BIN:?}" "${PREFIX:?}" "${DESTDIR=}"
settings="$DESTDIR/etc/roundtable"
as_owner=()

say() { printf 'install: %s\n' "$*"; }
fail() { printf 'install: %s\n' "$*" >&2; exit 1; }

# Puts a file there with this prefix in its paths.
install_with_prefix() { # source, target
  sed "s|/usr/local/|$PREFIX/|g" "$1" | "${as_owner[@]}" install -D -m 644 /dev/stdin "$2"
}

case "$PREFIX" in
  /*[!/]) ;;
  *) fail "PREFIX=$PREFIX: accepted is an absolute path without a slash at its end, such as /usr/local" ;;
esac
programs=(roundtable roundtable-node roundtable-router)
for program in "${programs[@]}"; do
  [ -x "$BIN/$program" ] || fail "$BIN/$program is missing: run make build first, as the same user as make install"
done
if [ -z "$DESTDIR" ] && [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "neither root nor sudo: run make install as root, with BIN=$BIN"
  as_owner=(sudo)
fi

"${as_owner[@]}" install -D -m 755 -t "$DESTDIR$PREFIX/bin" "${programs[@]/#/$BIN/}"
"${as_owner[@]}" install -D -m 644 -t "$DESTDIR$PREFIX/share/doc/roundtable" docs/*.md
for unit in roundtable-node@.service roundtable-router.service; do
  install_with_prefix "config/systemd/$unit" "$DESTDIR$PREFIX/lib/systemd/system/$unit"
done
install_with_prefix config/systemd/sysusers.conf "$DESTDIR$PREFIX/lib/sysusers.d/roundtable.conf"
for file in cluster.toml node.toml router.toml; do
  if [ -e "$settings/$file" ]; then
    say "$settings/$file is kept as it is; the new one with all settings explained is config/$file"
  else
    "${as_owner[@]}" install -D -m 644 "config/$file" "$settings/$file"
  fi
done
say "programs are in $DESTDIR$PREFIX/bin, settings in $settings"

[ -z "$DESTDIR" ] || exit 0
if command -v systemd-sysusers >/dev/null; then
  "${as_owner[@]}" systemd-sysusers "$PREFIX/lib/sysusers.d/roundtable.conf"
fi
if [ -d /run/systemd/system ]; then
  "${as_owner[@]}" systemctl daemon-reload
fi
