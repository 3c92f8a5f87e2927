# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Part of the benchmarks that root may start with --user.

# as_user USER PROGRAM ARGUMENT...: the program again, as that user, in a mount namespace that shows cgroup2 alone: so podman
# and crun also start on a machine with cgroup v1 or mixed hierarchies, which they refuse.
as_user() {
  export XDG_RUNTIME_DIR
  XDG_RUNTIME_DIR=$(mktemp -d)
  chown "$1" "$XDG_RUNTIME_DIR"
  trap 'rm -rf "$XDG_RUNTIME_DIR"' EXIT
  # shellcheck disable=SC2016
  unshare --mount sh -c '
    umount -l /sys/fs/cgroup/* /sys/fs/cgroup 2>/dev/null
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount --make-rshared /
    user=$1
    shift
    home=$(getent passwd "$user" | cut -d: -f6)
    cd "$home" && exec runuser -u "$user" -- env "HOME=$home" "USER=$user" "$@"' sh "$@"
}

# is_for_another USER: whether this is root, and USER is somebody else
is_for_another() { [ -n "$1" ] && [ "$(id -u)" = 0 ] && [ "$(id -un)" != "$1" ]; }

# podman_in ROOT RUNROOT: podman with directories of its own (RUNROOT: at most 50 characters) and what works without systemd
podman_in() {
  printf 'podman --root %s --runroot %s --storage-driver=overlay --cgroup-manager=cgroupfs' "$1" "$2"
}

# say_where DIRECTORY: what machine this is, and where the store lies
say_where() {
  printf 'karapace %s, %s processors, %s, %s of memory, store on %s; medians; ratio: to the first line\n' \
    "$("$karapace" --version | sed 's/^karapace //')" "$(nproc)" "$(uname -sr)" \
    "$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)" "$(df --output=fstype "$1" | tail -n 1)"
}
