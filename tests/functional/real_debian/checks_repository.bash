# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What resolution moves and what not, and what it refuses, on a real Debian with a package archive of our own: its
# packages have versions, dependencies and faults as a check needs them.

# new_package NAME VERSION [DEPENDS]: one more file of the archive; it is in the index until `archive` is called again.
new_package() {
  local root=packages/$1_$2
  mkdir -p "$root/DEBIAN" "$root/usr/share/$1" archive/pool
  printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: %s\n' "$1" "$2" "$1" \
    > "$root/DEBIAN/control"
  [ -z "${3:-}" ] || echo "Depends: $3" >> "$root/DEBIAN/control"
  echo "$1 $2" > "$root/usr/share/$1/version"
  dpkg-deb --root-owner-group -Znone -b "$root" "archive/pool/$1_$2_all.deb" > deb.log
}

# index NAME_VERSION...: what the archive says that it has.
index() {
  local package file
  for package; do
    file=pool/${package}_all.deb
    dpkg-deb -f "archive/$file"
    printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat -c %s "archive/$file")" \
      "$(sha256sum "archive/$file" | cut -d' ' -f1)"
  done > archive/Packages
  release
}

release() { # [MORE-FIELDS]
  printf 'Origin: ours\nSuite: stable\nCodename: stable\nDate: %s\n%sSHA256:\n %s %s Packages\n' "$(date -Ru)" "${1:-}" \
    "$(sha256sum archive/Packages | cut -d' ' -f1)" "$(stat -c %s archive/Packages)" > archive/Release
}

# The archive's key: what it signs is believed by signed.tar.
make_key() {
  mkdir -p gnupg
  chmod 700 gnupg
  export GNUPGHOME=$PWD/gnupg
  gpg --batch --quiet --passphrase '' --quick-generate-key 'Ours <ours@example.org>' rsa2048 sign never 2> gpg.txt
  gpg --batch --quiet --armor --export > key.asc
  gpgconf --kill gpg-agent
}

sign() {
  export GNUPGHOME=$PWD/gnupg
  rm -f archive/InRelease
  gpg --batch --quiet --clearsign -o archive/InRelease archive/Release 2> gpg.txt
  gpgconf --kill gpg-agent
}

# A Debian whose only package archive is ours, in base.tar, and a store of its own. The archive has a name, because its
# port is another one in each check; the server is the proxy that has the name.
own_archive() {
  if [ ! -s base.tar ]; then
    write_manifest plain.toml debian/12 ''
    expect_success karapace build plain.toml --name plain
    expect_success karapace exec --root plain -- \
      sh -c 'rm -rf /etc/apt/sources.list.d/* && echo "deb [trusted=yes] http://archive.test ./" > /etc/apt/sources.list'
    expect_success karapace export plain -o base.tar
    make_key
    expect_success karapace exec --root plain -- \
      sh -c 'cat > /etc/apt/ours.asc && echo "deb [signed-by=/etc/apt/ours.asc] http://archive.test ./" > /etc/apt/sources.list' < key.asc
    expect_success karapace export plain -o signed.tar
    expect_success karapace destroy plain --yes
  fi
  store=$PWD/own-store
  export KARAPACE_STORE=$store
  rm -rf packages archive own.toml own.lock
  mkdir archive
}

serve_archive() { # FAULTS...
  serve archive "$@"
  export http_proxy=http://127.0.0.1:$port
}

own_manifest() { write_manifest own.toml rootfs:./base.tar "$1"; }
# "alpha 1 liba 1 ": what the lock has, in its order.
locked_versions() {
  awk '/^\[\[/ { here = ($0 == "[[resolved_packages]]") } here && /^(name|version) = / { gsub(/"/, "", $3); printf "%s ", $3 }' own.lock
}

check_a_lock_moves_only_what_it_must() {
  own_archive
  new_package alpha 1 liba
  new_package liba 1
  new_package gamma 1 "liba (= 1)"
  index alpha_1 liba_1 gamma_1
  serve_archive
  own_manifest '"alpha", "gamma"'
  expect_success karapace fetch own.toml
  expect_equal "the first lock" "alpha 1 gamma 1 liba 1 " "$(locked_versions)"
  expect_equal "the status at once" current "$(json_value status "$(karapace outdated own.toml --json)")"

  # The archive has everything newer and nothing else any more. A package that is added brings its own closure only.
  new_package alpha 2 "liba (>= 2)"
  new_package liba 2
  new_package gamma 2 "liba (= 2)"
  new_package beta 2 "libb, liba"
  new_package libb 2
  index alpha_2 liba_2 gamma_2 beta_2 libb_2
  cp own.lock before.lock
  own_manifest '"alpha", "beta", "gamma"'
  expect_success karapace fetch own.toml
  expect_equal "the lock with beta" "alpha 1 beta 2 gamma 1 liba 1 libb 2 " "$(locked_versions)"
  expect_diff_of_blocks before.lock own.lock beta libb

  run_it karapace outdated own.toml --json --check
  expect_equal "exit status with something outdated" 1 "$status"
  expect_equal "what is outdated" "alpha gamma liba " "$(sed -n 's/^ *"name": "\(.*\)",*$/\1/p' <<< "$output" | tr '\n' ' ')"
  expect_equal "what there is" 2 "$(json_value available "$output")"

  # Of two that are newer only the one that was named moves; it takes along what it cannot do without, and that again.
  new_package beta 3 libb
  new_package libb 3
  index alpha_2 liba_2 gamma_2 beta_3 libb_3
  expect_success karapace build own.toml --update=beta --name own
  expect_equal "the lock after --update=beta" "alpha 1 beta 3 gamma 1 liba 1 libb 2 " "$(locked_versions)"
  expect_success karapace build own.toml --update=alpha --name own
  expect_equal "the lock after --update=alpha" "alpha 2 beta 3 gamma 2 liba 2 libb 2 " "$(locked_versions)"
  expect_equal "what is installed" "alpha 2" "$(karapace exec own -- cat /usr/share/alpha/version)"
  expect_success karapace destroy own --yes
  stop_server
}

# expect_diff_of_blocks OLD NEW NAME...: what a person sees in the diff of a pull request: new blocks, and digests.
expect_diff_of_blocks() {
  local old=$1 new=$2 lines
  shift 2
  lines=$(git diff --no-index -U0 "$old" "$new") || true
  expect_equal "new blocks in the lock" "$* " "$(sed -n 's/^+name = "\(.*\)"$/\1/p' <<< "$lines" | tr '\n' ' ')"
  expect_equal "lines of the old lock that changed" "-checksum -env_id -short_id " \
    "$(grep '^-[^-]' <<< "$lines" | grep -v '^-dependency_layer ' | cut -d' ' -f1 | sort -u | tr '\n' ' ')"
}

# refused_index STATUS PART-OF-THE-MESSAGE: a build that is to resolve from the archive as it is now.
refused_index() {
  rm -f own.lock
  remember_store
  run_it karapace build own.toml --name own
  expect_equal "exit status of a build that should say '$2' ($errors)" "$1" "$status"
  expect_contains "the message" "$2" "$errors"
  expect_contains "the message" archive.test "$errors"
  expect_same_store "in a build that should say '$2'"
  [ ! -e own.lock ] || fail "there is a lock after '$2'"
}

check_an_index_that_nobody_signed_is_refused() {
  own_archive
  new_package alpha 1
  new_package alpha 2
  index alpha_1
  serve_archive
  write_manifest keep.toml rootfs:./signed.tar ''
  expect_success karapace build keep.toml --name keep
  write_manifest own.toml rootfs:./signed.tar '"alpha"'
  refused_index 2 "not signed"
  sign
  sed -i 's/^Version: 1/Version: 7/' archive/Packages
  refused_index 2 "archive.test"
  # Who is in the middle has no key, and signs with another one.
  index alpha_1
  (cp -r gnupg other-gnupg && rm -rf gnupg && make_key && sign && rm -rf gnupg && mv other-gnupg gnupg)
  refused_index 2 "signatures"
  # Whoever repeats an old index keeps updates away; so an archive says until when each may be used. Who has told apt not
  # to look at that has told us.
  release "Valid-Until: $(date -Ru -d yesterday)
"
  sign
  if apt-config dump Acquire::Check-Valid-Until | grep -qE '"(false|no|off|0|without)"'; then
    rm -f own.lock
    expect_success karapace fetch own.toml
  else
    refused_index 1 "expired"
  fi

  index alpha_1
  sign
  expect_success karapace build own.toml --name own
  expect_success karapace destroy own --yes
  expect_success karapace destroy keep --yes

  # The archive itself publishes other bytes under the same version. The lock knows which were meant.
  cp archive/pool/alpha_2_all.deb archive/pool/alpha_1_all.deb
  index alpha_1
  sed -i 's/^Version: 2/Version: 1/' archive/Packages
  release
  sign
  store=$PWD/other-own-store
  export KARAPACE_STORE=$store
  run_it karapace build own.toml --locked --name own
  expect_equal "exit status with other bytes of the same version ($errors)" 2 "$status"
  expect_contains "the message" "alpha" "$errors"
  is_empty "$store/trees" || is_empty "$store/store/metadata" || fail "something was installed"

  # To a new resolution its index lies: the file that it calls version 1 is version 2.
  rm own.lock
  run_it karapace build own.toml --name own
  expect_equal "exit status with a file that is another version ($errors)" 2 "$status"
  expect_contains "the message" "alpha 1 (all) is not there" "$errors"
  expect_contains "the fix" "build --update" "$errors"
  [ ! -e own.lock ] || fail "there is a lock that says what is not so"
  is_empty "$store/store/metadata" || fail "something was installed"
  stop_server
}

check_an_index_that_is_out_of_date_moves_no_lock_back() {
  own_archive
  new_package alpha 1 liba
  new_package liba 1
  new_package alpha 2 liba
  new_package liba 2
  new_package beta 1
  index alpha_2 liba_2
  serve_archive
  own_manifest '"alpha"'
  expect_success karapace build own.toml --name own
  cp own.lock before.lock

  # A mirror that fell behind, or somebody who repeats what the archive once signed.
  index alpha_1 liba_1 beta_1
  run_it karapace outdated own.toml
  expect_contains "what outdated says" "out of date" "$output"
  expect_contains "what outdated says to a program" '"older": true' "$(karapace outdated own.toml --json)"
  local update
  for update in --update --update=alpha; do
    remember_store
    run_it karapace build own.toml --name own "$update"
    expect_equal "exit status with an older index ($errors)" 2 "$status"
    expect_contains "the message" "alpha 1, which is older than the 2" "$errors"
    expect_contains "the fix" "another mirror" "$errors"
    cmp own.lock before.lock || fail "the lock went back"
    expect_same_store "with an older index and $update"
  done
  # What is locked is no question of an index, and one more package moves nothing back.
  own_manifest '"alpha", "beta"'
  expect_success karapace build own.toml --name own
  expect_equal "the lock with beta" "alpha 2 beta 1 liba 2 " "$(locked_versions)"
  # Who means it says so.
  rm own.lock
  expect_success karapace build own.toml --name own
  expect_equal "the lock made anew" "alpha 1 beta 1 liba 1 " "$(locked_versions)"
  expect_success karapace destroy own --yes
  stop_server
}
