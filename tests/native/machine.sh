#!/usr/bin/env bash
# A machine for a test that installs and starts services: the real systemd as process 1 of namespaces of its own. It sees
# this machine's files, and what it writes stays in memory. Processes, network, control group and folders for temporary
# files are its own.
#
#   machine.sh start FOLDER…   prints the process id of that systemd, as seen from outside, and keeps the machine until its
#                              standard input ends. Each FOLDER appears at the same place, read-only.
set -euo pipefail

group= groups=

start() {
  local inner booted
  # Mounted here, because where a machine has it differs.
  groups="$(mktemp -d)"
  trap remove_group EXIT
  mount -t cgroup2 cgroup2 "$groups"
  group="$groups$(sed -n 's/^0:://p' /proc/self/cgroup)/roundtable-machine-$$"
  mkdir "$group"
  (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net "$0" boot "$@"
  ) </dev/null >&2 &
  inner=$!
  until booted="$(cat "/proc/$inner/task/$inner/children")" && [ -n "$booted" ]; do
    sleep 0.01
  done
  echo "$booted"
  # Ends when whoever started the machine ends or wants it gone.
  cat >/dev/null
  kill -KILL "$inner"
  wait "$inner" 2>/dev/null || true
}

remove_group() {
  # The processes of a killed namespace end a moment later.
  while [ -d "$group" ] && ! find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; do
    sleep 0.01
  done
  umount "$groups" 2>/dev/null || true
  rmdir "$groups"
}

# Inside: builds the root directory and becomes systemd.
boot() {
  local top root device folder
  top=/run
  mount --make-rprivate /
  mount -t tmpfs -o size=4g,mode=755 tmpfs "$top"
  root="$top/root"
  mkdir "$top/changes" "$top/work" "$root"
  mount -t overlay -o "lowerdir=/,upperdir=$top/changes,workdir=$top/work" overlay "$root"
  # What belongs to the kernel that the machine shares with this one is read-only.
  mount -t proc proc "$root/proc"
  mount --bind "$root/proc/sys" "$root/proc/sys"
  mount -o remount,bind,ro "$root/proc/sys"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  for folder in run tmp dev; do
    mount -t tmpfs -o mode=755 tmpfs "$root/$folder"
  done
  chmod 1777 "$root/tmp"
  for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
  done
  mkdir -m 1777 "$root/dev/shm"
  mkdir "$root/dev/pts"
  mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  for folder in "$@"; do
    mkdir -p "$root$folder"
    mount --bind "$folder" "$root$folder"
    mount -o remount,bind,ro "$root$folder"
  done
  # None of the services that this machine starts, and no settings or data of an installation that it may have.
  rm -rf "$root/etc/systemd/system" "$root/etc/roundtable" "$root/var/lib/roundtable" \
    "$root"/usr/local/bin/roundtable* "$root"/usr/local/lib/systemd/system "$root"/usr/local/lib/sysusers.d
  mkdir -p "$root/etc/systemd/system"
  # It empties /tmp.
  ln -s /dev/null "$root/etc/systemd/system/systemd-tmpfiles-setup.service"
  ip link set lo up
  cd "$root"
  mkdir run/outside
  pivot_root . run/outside
  umount -l /run/outside
  rmdir /run/outside
  exec setpriv --bounding-set=-sys_module,-sys_time,-sys_boot,-sys_rawio,-audit_control,-audit_read,-audit_write \
    env -i container=roundtable-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /usr/lib/systemd/systemd --system --unit=basic.target --show-status=no --log-target=journal
}

"$@"
