# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Bad input: a clear error, exit status 2, and nothing changed.

header='manifest_version = 1
[base]
image = "debian/12"
'

# refused PART-OF-THE-MESSAGE [BUILD-ARGUMENTS...]: builds bad.toml, whose bad.lock may be there.
refused() {
  local part=$1 lock_before begin=$SECONDS
  shift
  remember_store
  lock_before=$(sha256sum bad.lock 2> /dev/null || echo none)
  run_it karapace build bad.toml "$@"
  expect_equal "exit status of a build that should name '$part' ($errors)" 2 "$status"
  expect_contains "the message" "$part" "$errors"
  expect_same_store "in a build that should name '$part'"
  expect_equal "the lock after '$part'" "$lock_before" "$(sha256sum bad.lock 2> /dev/null || echo none)"
  [ $((SECONDS - begin)) -lt 60 ] || fail "refusing took $((SECONDS - begin)) s"
  [ "${#errors}" -lt 2000 ] || fail "a message of ${#errors} bytes"
}

manifest() { printf '%s%s\n' "$header" "$1" > bad.toml; }

check_bad_input_changes_nothing() {
  rm -f bad.lock
  manifest '[system]
pakages = ["git"]'
  refused "packages"
  expect_contains "where" "bad.toml:5:1" "$errors"
  manifest '[system]
packages = "git"'
  refused "packages"
  manifest '[system]
packages = ["git"]
packages = ["curl"]'
  refused "packages"
  printf 'manifest_version = 1\n[base]\nimage = ""\n' > bad.toml
  refused "image"
  printf 'manifest_version = 1\n[base]\nimage = "debain/12"\n' > bad.toml
  refused "debian/12"
  manifest '[system]
packages = ["no-such-package-here"]'
  refused "no-such-package-here"
  # What apt would take for orders and regular expressions.
  manifest '[system]
packages = ["jq-", "hell.-traditional", "g++"]'
  refused "has no package hell.-traditional, jq-"
  manifest '[system]
packages = ["-oFoo"]'
  refused "-oFoo"
  manifest '[system]
packages = ["git\nrm"]'
  refused "packages"
  manifest '[mounts]
up = "./../..:/up"'
  refused ".."
  manifest '[mounts]
up = "./:/../up"'
  refused ".."
  manifest "# "
  head -c $((100 << 20)) /dev/zero | tr '\0' 'a' >> bad.toml
  refused "large"
  { printf '%sdeep = ' "$header"; printf '[%.0s' {1..10000}; printf ']%.0s' {1..10000}; echo; } > bad.toml
  refused "bad.toml"
  manifest "$(printf '# \xff\xfe')"
  refused "UTF-8"
  run_it karapace build no-such.toml
  expect_equal "exit status for a missing manifest" 2 "$status"
}

check_bad_locks_are_refused() {
  # Edited by hand: another version of one package.
  cp dev.toml bad.toml
  awk '!done && /^version = / { sub(/"[^"]*"/, "\"9.9.9-1\""); done = 1 } { print }' dev.lock > bad.lock
  ! cmp -s dev.lock bad.lock || fail "the lock was not edited"
  refused "lock"
  # Of another manifest.
  write_manifest bad.toml debian/13 '"git"'
  cp dev.lock bad.lock
  refused "lock"
  # The same, but asked not to change anything.
  sed 's/^packages = \[/&\n  "hello",/' dev.toml > bad.toml
  refused "lock" --locked
  printf 'not a lock\n' > bad.lock
  refused "bad.lock"
}

# Like refused, but a part of a download may stay to be continued.
refused_download() { # STATUS PART-OF-THE-MESSAGE
  local expected=$1 part=$2
  remember_store
  run_it karapace build bad.toml
  expect_equal "exit status of a build with a bad download ($errors)" "$expected" "$status"
  expect_contains "the message" "$part" "$errors"
  sed -i '/^downloads/d' store-before.txt
  store_listing | sed '/^downloads/d' > store-after.txt
  cmp store-before.txt store-after.txt || fail "a bad download changed the store"
}

check_bad_downloads_are_refused() {
  local sum
  rm -f bad.lock
  mkdir -p served tiny/etc
  echo tiny > tiny/etc/hostname
  head -c 3000000 /dev/urandom > tiny/etc/noise
  tar -cf served/base.tar -C tiny .
  sum=$(sha256sum served/base.tar | cut -d' ' -f1)
  # Interrupted each time, then other bytes than the manifest says, then interrupted once and continued.
  serve served --fault drop-midway=base.tar
  write_manifest bad.toml "http://127.0.0.1:$port/base.tar#sha256=$sum" ''
  refused_download 1 "base.tar"
  stop_server
  serve served
  write_manifest bad.toml "http://127.0.0.1:$port/base.tar#sha256=${sum//[0-7]/8}" ''
  refused_download 2 "${sum//[0-7]/8}"
  expect_contains "the message" "$sum" "$errors"
  stop_server
  serve served --times 1 --fault drop-midway=base.tar
  write_manifest bad.toml "http://127.0.0.1:$port/base.tar#sha256=$sum" ''
  expect_success karapace build bad.toml --name tiny
  stop_server
  expect_success karapace destroy tiny --yes
}

check_packages_with_other_bytes_are_refused() {
  local size path
  # Where a repository is, is no part of the identity: this lock is whole, and its mirror serves zeros.
  while read -r size path; do
    mkdir -p "mirror/${path%/*}"
    truncate -s "$size" "mirror/$path"
  done < <(awk '/^size = / { size = $3 } /^path = / { gsub(/"/, "", $3); print size, $3 }' dev.lock)
  serve mirror
  cp dev.toml bad.toml
  sed "s|^url = .*|url = \"http://127.0.0.1:$port\"|" dev.lock > bad.lock
  sed -i "s/^checksum = .*/checksum = \"$(grep -v -e '^#' -e '^checksum' bad.lock | b3sum | cut -d' ' -f1)\"/" bad.lock
  store=$PWD/other-store
  export KARAPACE_STORE=$store
  run_it karapace build bad.toml
  stop_server
  expect_equal "exit status of a build with other bytes ($errors)" 2 "$status"
  expect_contains "the message" "sha256" "$errors"
  local directory
  for directory in store/objects store/packages store/layers store/metadata store/staging store/wal trees; do
    is_empty "$store/$directory" || fail "$directory has something: $(ls "$store/$directory")"
  done
}
