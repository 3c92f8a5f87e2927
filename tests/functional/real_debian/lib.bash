# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the checks share. Every wait is for an event and has a limit; every failure says what was expected.

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

# A check that fails must not leave sessions or servers behind: whoever reads our output would wait for them.
end_background() {
  local pids
  pids=$(jobs -p)
  # shellcheck disable=SC2086
  [ -z "$pids" ] || kill $pids 2> /dev/null || true
}

expect_equal() { # WHAT EXPECTED GOT
  [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

expect_contains() { # WHAT PART TEXT
  [[ $3 == *"$2"* ]] || fail "$1: expected '$2' in: $3"
}

is_long() { [ "${KARAPACE_REAL_LONG:-}" = 1 ]; }

karapace() { "$bin/karapace" "$@"; }

# The exit status of a command that may fail, in $status; what it said in $output and $errors.
run_it() {
  status=0
  "$@" > out.txt 2> err.txt || status=$?
  output=$(cat out.txt)
  errors=$(cat err.txt)
}

expect_success() {
  run_it "$@"
  [ "$status" = 0 ] || fail "$* ended with $status: $errors $output"
}

# Value of a key in pretty-printed JSON: json_value KEY TEXT.
json_value() { sed -n "s/^ *\"$1\": \"\\{0,1\\}\\([^\",]*\\)\"\\{0,1\\},\\{0,1\\}\$/\\1/p" <<< "$2" | head -n 1; }

# Waits a moment without a process of its own; only between two looks at something that has no event.
moment() {
  if [ -z "${never:-}" ]; then
    local fifo
    fifo=$(mktemp -u)
    mkfifo "$fifo"
    exec {never}<> "$fifo"
    rm "$fifo"
  fi
  read -r -t "${1:-0.02}" -u "$never" _ || true
}

# within SECONDS COMMAND...: looks until it holds.
within() {
  local limit=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$limit" ] || return 1
    moment
  done
}

# --- Sessions in the background. start_session ENV COMMAND... sets $session and makes its output readable.

start_session() {
  local fifo
  fifo=$(mktemp -u)
  mkfifo "$fifo"
  # A shell without job control starts background programs with SIGINT ignored; the session must not inherit that.
  env --default-signal=INT,QUIT "$bin/karapace" exec "$@" < /dev/null > "$fifo" 2> session-errors.txt &
  session=$!
  exec {session_out}< "$fifo"
  rm "$fifo"
}

# Reads lines of the newest session until one is $1.
wait_for_line() {
  local line
  while IFS= read -r -t 60 -u "$session_out" line; do
    [ "$line" != "$1" ] || return 0
  done
  fail "the session did not say '$1': $(cat session-errors.txt)"
}

session_status() { # PID
  status=0
  wait "$1" || status=$?
}

is_state() { # ENV STATE
  [ "$(json_value state "$(karapace inspect "$1" --json)")" = "$2" ]
}

holder_of() { json_value holder_pid "$(karapace inspect "$1" --json)"; }

# What is in the store by name, kind, size and date: equal texts mean nothing was changed. Of trees and environments the
# names only: what is in them belongs to subordinate ids in part. Locks are left out, everybody opens them for writing.
store_listing() {
  [ -d "$store" ] || return 0
  {
    find "$store/store" -name .lock -prune -o -type f -printf '%P %s %T@\n' -o -printf '%P %y\n'
    find "$store/trees" "$store/env" -maxdepth 2 -name .lock -prune -o -printf '%p\n'
  } | LC_ALL=C sort
}

remember_store() { store_listing > store-before.txt; }
# expect_same_store WHEN: what changed since remember_store, if anything, is told by path.
expect_same_store() {
  store_listing > store-after.txt
  cmp -s store-before.txt store-after.txt ||
    fail "the store changed $1: $(diff store-before.txt store-after.txt | grep '^[<>]' | head -n 10)"
}

is_empty() { [ -z "$(ls -A "$1" 2> /dev/null)" ]; }
trees() { find "$store/trees" -mindepth 1 -maxdepth 1 -printf '%f\n' | LC_ALL=C sort; }
packages() { find "$store/store/packages" -mindepth 1 -printf '%f\n' 2> /dev/null | LC_ALL=C sort || true; }

# Programs of Karapace that run as this user. Other stores may have some: `foreign` are those from before the check.
our_processes() {
  local process argv0 name
  for process in /proc/[0-9]*; do
    argv0=
    { IFS= read -r -d '' argv0 < "$process/cmdline"; } 2> /dev/null || true
    name=$(sed -n 's/^Name:[[:space:]]*//p' "$process/status" 2> /dev/null) || continue
    [[ ${argv0##*/} == karapace* || $name == karapace* ]] || continue
    [ "$(awk '/^Uid:/ { print $2 }' "$process/status" 2> /dev/null)" = "$(id -u)" ] || continue
    [[ " ${foreign:-} " == *" ${process#/proc/} "* ]] || echo "${process#/proc/}"
  done
}
nobody_left() { [ -z "$(our_processes)" ]; }

write_manifest() { # FILE IMAGE PACKAGES
  printf 'manifest_version = 1\n\n[base]\nimage = "%s"\n\n[system]\npackages = [%s]\n' "$2" "$3" > "$1"
}

# A server of static files that may misbehave: sets $port, and $server to HOST:PORT. It ends with its standard input.
serve() { # DIR [OPTIONS...]
  local fifo
  fifo=$(mktemp -u)
  mkfifo "$fifo" "$fifo.in"
  "$bin/karapace-test-http-server" "$@" < "$fifo.in" > "$fifo" &
  server_process=$!
  exec {server_in}> "$fifo.in" {server_out}< "$fifo"
  rm "$fifo" "$fifo.in"
  read -r -t 30 port <&"$server_out" || fail "the test server does not start"
  server=127.0.0.1:$port
}

# Killed, because other programs in the background may hold its standard input open.
stop_server() {
  exec {server_in}>&- {server_out}<&-
  kill "$server_process" 2> /dev/null || true
  wait "$server_process" || true
}
