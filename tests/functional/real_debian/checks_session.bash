# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sessions: programs, streams, signals, terminals.

check_status_and_streams_pass_through() {
  local code
  expect_equal "a pipe through exec" "hi" "$(echo hi | karapace exec dev -- cat)"
  expect_equal "standard error" "oops" "$(karapace exec dev -- sh -c 'echo oops >&2' 2>&1 > /dev/null)"
  for code in 0 1 42 255; do
    run_it karapace exec dev -- sh -c "exit $code"
    expect_equal "exit status" "$code" "$status"
  done
  run_it karapace exec dev -- sh -c 'kill -TERM $$'
  expect_equal "status of a program that a signal ended" 143 "$status"
  run_it karapace exec dev -- /no/such/program
  expect_equal "status for a missing program" 127 "$status"
  run_it karapace exec dev -- /etc
  expect_equal "status for what cannot be executed" 126 "$status"
  expect_equal "arguments" "a b|c|" "$(karapace exec dev -- printf '%s|' 'a b' c)"
  expect_equal "the system" "Debian GNU/Linux 12 (bookworm)" \
    "$(karapace exec dev -- sh -c '. /etc/os-release; echo "$PRETTY_NAME"')"
  expect_equal "the user inside" "$(id -u):$(id -g)" "$(karapace exec dev -- sh -c 'echo $(id -u):$(id -g)')"
  expect_equal "root inside" 0 "$(karapace exec --root dev -- id -u)"
  expect_equal "capabilities of a session" 0000000000000000 \
    "$(karapace exec dev -- sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)"
}

check_tools_of_the_manifest_run() {
  expect_contains "git" "git version 2." "$(karapace exec dev -- git --version)"
  expect_contains "curl" "curl 7." "$(karapace exec dev -- curl --version)"
  expect_contains "make" "GNU Make" "$(karapace exec dev -- make --version)"
  expect_equal "python3" 42 "$(karapace exec dev -- python3 -c 'print(6 * 7)')"
  karapace exec dev -- sh -c 'mkdir -p ~/hello && cat > ~/hello/hello.c' << 'C'
#include <stdio.h>
int main(void) { return printf("compiled %s\n", "here") < 0; }
C
  expect_equal "a C program" "compiled here" "$(karapace exec dev -- sh -c 'cd ~/hello && make -s hello && ./hello')"
}

check_a_gibibyte_passes_unchanged() {
  local bytes=$((64 << 20)) before after
  ! is_long || bytes=$((1 << 30))
  # Random bytes: no newline, NUL or 8-bit conversion could hide in them.
  head -c "$bytes" /dev/urandom | tee >(sha256sum > before.txt) | karapace exec dev -- cat | tee >(wc -c > size.txt) |
    sha256sum > after.txt
  within 10 test -s before.txt
  within 10 test -s size.txt
  before=$(cut -d' ' -f1 before.txt)
  after=$(cut -d' ' -f1 after.txt)
  expect_equal "bytes" "$bytes" "$(cat size.txt)"
  expect_equal "sha256" "$before" "$after"
}

# Says "ready", then waits for a signal and answers it with exit status 7.
readonly answer_signals='
import signal, sys
wanted = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
print("ready", flush=True)
print("got", signal.sigwait(wanted).name, flush=True)
sys.exit(7)
'

check_signals_reach_the_program() {
  local name
  for name in INT TERM; do
    start_session dev -- python3 -c "$answer_signals"
    wait_for_line ready
    kill -s "$name" "$session"
    wait_for_line "got SIG$name"
    session_status "$session"
    expect_equal "status after SIG$name" 7 "$status"
  done
}

check_nothing_is_left_after_the_last_session() {
  local mounts holder
  mounts=$(cat /proc/self/mountinfo)
  start_session dev -- python3 -c "$answer_signals"
  wait_for_line ready
  holder=$(holder_of dev)
  [ "$holder" -gt 1 ] || fail "inspect names no holder"
  # An orphan of a second session ends up with pid 1 inside and must not stay as a zombie.
  karapace exec dev -- sh -c '(true & echo $! > /tmp/orphan) ; true'
  within 20 karapace exec dev -- sh -c '! test -e /proc/$(cat /tmp/orphan)' || fail "an orphan was not reaped"
  expect_equal "zombies" "" "$(karapace exec dev -- sh -c 'grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null || true')"
  kill -TERM "$session"
  session_status "$session"
  within 20 is_state dev Built || fail "the environment is not Built after its last session"
  within 20 test ! -d "/proc/$holder" || fail "the holder is still there"
  within 20 nobody_left || fail "processes left: $(our_processes)"
  expect_equal "mounts of the host" "$mounts" "$(cat /proc/self/mountinfo)"
}

# --- A terminal of our own: script(1) makes it, we type and read.

type_in() { printf '%b' "$1" >&"${terminal_in}"; }

seen=
expect_on_screen() { # TEXT
  local char limit=$((SECONDS + 30))
  while [[ $seen != *"$1"* ]]; do
    if ! IFS= read -r -d '' -t 5 -n 1 -u "$terminal_out" char && [ "$SECONDS" -ge "$limit" ]; then
      fail "the screen did not show '$1' but: $(printf '%q' "$seen")"
    fi
    seen+=$char
  done
  seen=${seen#*"$1"}
}

check_a_terminal_has_size_and_job_control() {
  local pid
  # What is typed is echoed, so each answer is computed inside: it differs from the question.
  coproc TERMINAL { exec script --quiet --return --flush --command "tty > tty.txt; stty rows 41 cols 97; exec $bin/karapace enter dev" /dev/null; }
  pid=$TERMINAL_PID
  terminal_out=${TERMINAL[0]}
  terminal_in=${TERMINAL[1]}
  type_in "PS1='here''> '\n"
  expect_on_screen "here> "
  type_in 'echo begin-$((1 + 1)) flags=$-.\n'
  expect_on_screen "begin-2 flags="
  expect_on_screen "m"  # job control is on
  type_in 'echo size=$((7 * 7)) $(stty size)\n'
  expect_on_screen "size=49 41 97"
  # The window changes while the session is open.
  stty -F "$(cat tty.txt)" rows 50 cols 120
  within 10 size_was_told || fail "the new window size did not arrive"
  type_in "sh -c 'echo front-\$((3 + 3)); exec cat'\n"
  expect_on_screen "front-6"
  type_in '\x1a'
  expect_on_screen "Stopped"
  expect_on_screen "here> "
  type_in 'jobs | wc -l; fg\n'
  expect_on_screen "exec cat"
  type_in 'echoed by cat\n'  # by the terminal and by cat; only cat's is certain while fg still changes the terminal
  expect_on_screen "echoed by cat"
  type_in '\x04'
  expect_on_screen "here> "
  type_in "sh -c 'echo front-\$((4 + 4)); exec cat'\n"
  expect_on_screen "front-8"
  type_in '\x03'
  expect_on_screen "here> "
  type_in 'echo status-$?\n'
  expect_on_screen "status-130"
  type_in 'exit 7\n'
  status=0
  wait "$pid" || status=$?
  expect_equal "exit status of the shell" 7 "$status"
}

size_was_told() {
  type_in 'echo now=$((8 * 8)) $(stty size).\n'
  expect_on_screen "now=64 "
  local char answer=
  while [[ $answer != *.* ]] && IFS= read -r -d '' -t 10 -n 1 -u "$terminal_out" char; do answer+=$char; done
  [ "$answer" = "50 120." ]
}

# --- Several sessions.

check_two_sessions_share_one_system() {
  local first second
  start_session dev -- sh -c 'echo from the first > /tmp/shared; echo ready; exec sleep 1001'
  first=$session
  wait_for_line ready
  start_session dev -- sh -c 'cat /tmp/shared; exec sleep 1002'
  second=$session
  wait_for_line "from the first"
  local commands
  commands=$(karapace exec dev -- sh -c 'cat /proc/[0-9]*/cmdline | tr "\0" " "')
  expect_contains "processes inside" "sleep 1001" "$commands"
  expect_contains "processes inside" "sleep 1002" "$commands"
  is_state dev Running || fail "the environment is not Running"
  kill "$first"
  session_status "$first"
  # The second goes on when the first has ended.
  expect_equal "the shared file" "from the first" "$(karapace exec dev -- cat /tmp/shared)"
  kill "$second"
  session_status "$second"
}

check_stop_ends_every_session() {
  local first second begin=$SECONDS
  start_session dev -- sh -c 'echo ready; exec sleep 1001'
  first=$session
  wait_for_line ready
  start_session dev -- sh -c 'trap "" TERM HUP; echo ready; while :; do wait; done'
  second=$session
  wait_for_line ready
  expect_success karapace stop dev
  [ $((SECONDS - begin)) -lt 30 ] || fail "stop took $((SECONDS - begin)) s"
  session_status "$first"
  expect_equal "status of a stopped session" 143 "$status"
  session_status "$second"
  expect_equal "status of a session that ignores TERM" 137 "$status"
  is_state dev Built || fail "the environment is not Built after stop"
}

check_kill_of_any_process_needs_no_repair() {
  local holder
  # The session's own process: what it ran must end with it, and the next command works.
  start_session dev -- sh -c 'echo ready; exec sleep 1001'
  wait_for_line ready
  kill -KILL "$session"
  session_status "$session"
  expect_equal "after the session was killed" fine "$(karapace exec dev -- echo fine)"
  within 20 is_state dev Built || fail "a killed session keeps the environment running"
  # The holder: every session ends, the next command starts anew.
  start_session dev -- sh -c 'echo ready; exec sleep 1001'
  wait_for_line ready
  holder=$(holder_of dev)
  kill -KILL "$holder"
  session_status "$session"
  [ "$status" -ge 128 ] || fail "a session survived its holder with status $status"
  expect_equal "after the holder was killed" fine "$(karapace exec dev -- echo fine)"
  within 20 is_state dev Built || fail "the environment is not Built again"
  within 20 nobody_left || fail "processes left: $(our_processes)"
}

check_frozen_environments_cannot_be_written_to() {
  expect_success karapace exec --root dev -- sh -c 'echo before > /srv/written'
  expect_success karapace freeze dev
  local write
  for write in 'echo after > /srv/written' 'echo after > /etc/new' 'echo after > ~/new' 'rm /srv/written'; do
    run_it karapace exec dev -- sh -c "$write"
    [ "$status" != 0 ] || fail "a frozen environment was changed by: $write"
    expect_contains "$write" "Read-only file system" "$errors"
  done
  expect_equal "what was written before" before "$(karapace exec dev -- cat /srv/written)"
  expect_success karapace thaw dev
  expect_success karapace exec --root dev -- rm /srv/written
}
