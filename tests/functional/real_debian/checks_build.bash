# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Builds: what is fetched, what is kept, what is refused, what survives.

check_build() {
  cp "$examples/dev.toml" dev.toml
  # The tools are the concern of the unprivileged users; for the caller the base is enough.
  [ "$who" != caller ] || write_manifest dev.toml debian/12 ''
  expect_success karapace build dev.toml --name dev --json
  expect_equal "status" built "$(json_value status "$output")"
  expect_equal "name" dev "$(json_value name "$output")"
  [ -s dev.lock ] || fail "no lock file was written"
  is_state dev Built || fail "the environment is not Built"
  is_empty "$store/store/staging" || fail "left in staging: $(ls "$store/store/staging")"
}

check_destroy() {
  local id
  expect_success karapace list --json
  for id in $(sed -n 's/^ *"env_id": "\(.*\)",\{0,1\}$/\1/p' <<< "$output"); do
    expect_success karapace destroy "$id" --yes
    [ ! -e "$store/env/$id" ] || fail "destroy left env/$id"
  done
  expect_equal "environments" "[]" "$(karapace list --json)"
  within 20 nobody_left || fail "processes left: $(our_processes)"
}

check_second_build_needs_no_network() {
  local begin milliseconds
  remember_store
  begin=$(date +%s%3N)
  # A network namespace of its own has not even a loopback device that is up.
  expect_success unshare --user --map-current-user --net "$bin/karapace" build dev.toml --json
  milliseconds=$(($(date +%s%3N) - begin))
  expect_equal "downloaded files" 0 "$(json_value downloaded_files "$output")"
  expect_same_store "in a second build"
  [ "$milliseconds" -lt 2000 ] || fail "a build with nothing to do took $milliseconds ms"
  expect_success karapace build dev.toml --locked --offline --json
}

check_changed_hardware_unpacks_nothing() {
  local before first second
  before=$(trees)
  first=$(json_value env_id "$(karapace inspect dev --json)")
  cp dev.toml audio.toml
  cp dev.lock audio.lock
  printf '\n[hardware]\naudio = true\n' >> audio.toml
  expect_success unshare --user --map-current-user --net "$bin/karapace" build audio.toml --name audio --json
  second=$(json_value env_id "$output")
  [ "$first" != "$second" ] || fail "the same env_id for other hardware"
  expect_equal "downloaded files" 0 "$(json_value downloaded_files "$output")"
  expect_equal "trees" "$before" "$(trees)"
  expect_equal "a program in it" fine "$(karapace exec audio -- echo fine)"
  expect_success karapace destroy audio --yes
}

check_one_more_package_fetches_one_package() {
  local before after
  before=$(packages)
  sed 's/^packages = \[/&\n  "hello",/' dev.toml > more.toml
  grep -q hello more.toml || fail "examples/dev.toml has no packages"
  expect_success karapace build more.toml --name more --json
  expect_equal "downloaded files" 1 "$(json_value downloaded_files "$output")"
  after=$(packages)
  expect_equal "new packages in the store" 1 "$(comm -13 <(echo "$before") <(echo "$after") | wc -l)"
  expect_equal "the new program" "Hello, world!" "$(karapace exec more -- hello)"
  expect_success karapace destroy more --yes
}

check_mapped_ownership_shows_real_owners() {
  sed 's/^\[system\]/&\nownership = "mapped"/' <(write_manifest /dev/stdout debian/12 '"tree"') > mapped.toml
  if [ "$(id -u)" != 0 ] && ! grep -q "^$(id -un):" /etc/subuid; then
    check_mapped_says_what_is_missing
    return
  fi
  expect_success karapace build mapped.toml --name mapped --json
  expect_equal "owner of /etc/shadow" "0:42" "$(karapace exec --root mapped -- stat -c %u:%g /etc/shadow)"
  expect_equal "the user inside" "$(id -u):$(id -g)" "$(karapace exec mapped -- sh -c 'echo $(id -u):$(id -g)')"
  expect_equal "a second system id" 33 "$(karapace exec --root mapped -- setpriv --reuid 33 --clear-groups id -u)"
  expect_success karapace destroy mapped --yes
}

check_mapped_says_what_is_missing() {
  sed 's/^\[system\]/&\nownership = "mapped"/' <(write_manifest /dev/stdout debian/12 '') > mapped.toml
  remember_store
  run_it karapace build mapped.toml
  [ "$status" != 0 ] || fail "mapped was built without subordinate ids"
  expect_contains "the message" "flat" "$errors"
  [[ $errors == *subuid* || $errors == *newuidmap* || $errors == *"subordinate"* ]] || fail "does not name the cause: $errors"
  expect_same_store "in a refused build"
}

# --- Crashes and a full disk.

# Starts `karapace build $1` and kills it after $2 seconds. The workers must not outlive it.
build_killed_after() {
  "$bin/karapace" build "$1" > killed-out.txt 2> killed-err.txt &
  local build=$!
  moment "$2"
  kill -KILL "$build" 2> /dev/null || true
  wait "$build" 2> /dev/null || true
  within 20 nobody_left || fail "processes outlive a killed build: $(our_processes)"
}

check_killed_builds_leave_nothing() {
  local rounds=3 seed=${KARAPACE_REAL_SEED:-$RANDOM} round begin span delay
  ! is_long || rounds=20
  RANDOM=$seed
  echo "seed $seed (KARAPACE_REAL_SEED repeats it)"
  # One build in peace says how long the others may live. Each round wants another set of packages, so there is work.
  local all=(bc dc sl tree pv jq less file patch unzip zip rsync ed time bsdextrautils xxd whois dos2unix moreutils
    colordiff)
  begin=$(date +%s%3N)
  write_manifest killed.toml debian/12 '"cowsay"'
  expect_success karapace build killed.toml --name killed
  span=$(($(date +%s%3N) - begin))
  for ((round = 0; round < rounds; round++)); do
    write_manifest killed.toml debian/12 "\"cowsay\", \"${all[round]}\""
    rm -f killed.lock
    delay=$((RANDOM * span / 32768))
    echo "round $round: killed after $delay ms of $span"
    build_killed_after killed.toml "$((delay / 1000)).$(printf %03d $((delay % 1000)))"
    expect_success karapace list
    expect_equal "what works after a kill" fine "$(karapace exec dev -- echo fine)"
    expect_success karapace build killed.toml
    is_empty "$store/store/staging" || fail "left in staging: $(ls "$store/store/staging")"
    is_empty "$store/store/wal" || fail "left in the log: $(ls "$store/store/wal")"
    expect_success karapace verify-store
  done
}

check_a_full_disk_is_told_and_survived() {
  local scratch
  scratch=$(dirname "$(dirname "$PWD")")
  mkdir -p small
  write_manifest small.toml debian/12 ''
  # The disk belongs to a first namespace, in which we are root; the builds run in a second one, as the user we are.
  cat > small-disk << 'SCRIPT'
set -euo pipefail
mount -t tmpfs -o size=1500m,mode=777 karapace-small small
fallocate -l 1452m small/ballast
as_user=(unshare --user --map-user "$1" --map-group "$2")
shift 2
"${as_user[@]}" "$@" small_disk_that_is_full
rm small/ballast
"${as_user[@]}" "$@" small_disk_with_room
SCRIPT
  unshare --user --map-root-user --mount bash small-disk "$(id -u)" "$(id -g)" \
    env "KARAPACE_STORE=$PWD/small/store" bash "$scratch/checks/run" --inside "$scratch" "$who"
}

check_small_disk_that_is_full() {
  run_it karapace build small.toml --name small
  [ "$status" != 0 ] || fail "a build succeeded on a full disk"
  expect_contains "the message" "o space" "$errors"
  expect_success karapace list
}

check_small_disk_with_room() {
  local kernel
  IFS=. read -ra kernel <<< "$(uname -r)"
  # An overlay needs user.* attributes, which a tmpfs has since Linux 6.6; before, the second half is about the real disk.
  if [ $((kernel[0] * 1000 + ${kernel[1]%%[!0-9]*})) -lt 6006 ]; then
    export KARAPACE_STORE=${PWD%/work}/store
    store=$KARAPACE_STORE
  fi
  expect_success karapace build small.toml --name small
  expect_equal "a program after space was made" fine "$(karapace exec small -- echo fine)"
  is_empty "$store/store/staging" || fail "left in staging: $(ls "$store/store/staging")"
  expect_success karapace destroy small --yes
}
