# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

# What a lock promises, whatever the manager is. Needs base.tar, the old packages on a server, publish_new_MANAGER, and how
# this manager calls versions: $libfoo_old, $libfoo_new, $hello_old.
check_promises() {
  write_manifest karapace.toml rootfs:./base.tar '"hello"'
  expect_success karapace build --name it
  expect_equal "the closure" "hello libfoo shell" "$(closure)"
  expect_equal "what was asked for" "true  " "$(locked requested hello) $(locked requested libfoo) $(locked requested shell)"
  expect_equal "the version of libfoo" "$libfoo_old" "$(locked version libfoo)"
  expect_equal "the repository" fixture "$(locked repository libfoo)"
  expect_equal "what a session sees" "1.0 configured" \
    "$(karapace exec it -- cat /usr/share/libfoo/version /usr/share/hello/configured | paste -sd ' ')"
  expect_contains "what the manager sees" "libfoo" "$(karapace exec it -- "${list_installed[@]}")"
  cp karapace.lock old.lock
  check_owner_of_difference

  # Fetched ahead in another store, and built there at another moment without any network.
  KARAPACE_STORE=$PWD/other expect_success karapace fetch --locked
  KARAPACE_STORE=$PWD/other expect_success unshare --user --map-root-user --net "$bin/karapace" build --name it --locked --offline
  cmp -s karapace.lock old.lock || fail "an offline build changed the lock"

  # The repository moves on: the lock does not care, and whoever has nothing yet is told what is gone.
  "publish_new_$manager"
  expect_success karapace build --name it
  cmp -s karapace.lock old.lock || fail "a build moved a lock that fits"
  KARAPACE_STORE=$PWD/gone refused "hello $hello_old" --locked

  # One more package: the rest stays, also what the repository no longer has.
  write_manifest karapace.toml rootfs:./base.tar '"hello", "extra"'
  expect_success karapace build --name it
  expect_equal "the closure" "extra hello libfoo shell" "$(closure)"
  expect_equal "the version of libfoo" "$libfoo_old" "$(locked version libfoo)"
  expect_equal "the version of hello" "$hello_old" "$(locked version hello)"
  [ "$(diff old.lock karapace.lock | grep -c '^<')" -le 4 ] || fail "more than a package was added: $(diff old.lock karapace.lock)"
  write_manifest karapace.toml rootfs:./base.tar '"hello"'
  expect_success karapace build --name it
  cmp -s karapace.lock old.lock || fail "taking the package out again is not the way back: $(diff old.lock karapace.lock)"
  expect_success karapace build --name it --update
  expect_equal "the version of libfoo after --update" "$libfoo_new" "$(locked version libfoo)"
  # An index of yesterday is as well signed as today's.
  cp karapace.lock new.lock
  "publish_old_$manager"
  refused "hello $hello_old, which is older than the $(locked version hello)" --update
  cmp -s karapace.lock new.lock || fail "the lock went back"
  "publish_new_$manager"
  check_refusals
  end_of_signing
}

# Somebody changed a file in a layer: it is named with the package that it belongs to.
check_owner_of_difference() {
  local version said
  version=$KARAPACE_STORE/trees/$(sed -n 's/^dependency_layer = "\(.*\)"$/\1/p' karapace.lock)/usr/share/libfoo/version
  mv "$version" kept
  echo other >"$version"
  said=$(karapace verify-env it 2>&1) && fail "verify-env does not see a changed file: $said"
  expect_contains "the changed file" "/usr/share/libfoo/version" "$said"
  expect_contains "the package that it belongs to" "package libfoo" "$said"
  mv -f kept "$version"
  expect_success karapace verify-env it
}

check_refusals() {
  cp karapace.lock new.lock
  rm karapace.lock
  write_manifest karapace.toml rootfs:./base.tar '"hello", "helo"'
  refused "has no package helo"
  expect_contains "the suggestion" "did you mean 'hello'" "$errors"
  # Nothing is guessed: which of two that provide it, or all of a group.
  write_manifest karapace.toml rootfs:./base.tar '"two-apis"'
  refused "has no package two-apis"
  write_manifest karapace.toml rootfs:./base.tar '"pair"'
  refused "has no package pair"
  write_manifest karapace.toml rootfs:./base.tar '"hello-"'
  refused "has no package hello-"
  write_manifest karapace.toml rootfs:./base.tar '"hello", "never"'
  refused "cannot be installed together"
  write_manifest karapace.toml rootfs:./base.tar '"unsigned"'
  refused "unsigned 1.0"
  # Whoever sits between us and the repository: other packages, another index, nothing at all.
  stop_server
  serve site --fault wrong-bytes=libfoo
  write_manifest karapace.toml rootfs:./base.tar '"hello"'
  export KARAPACE_MIRROR="fixture=http://$server/$mirrored"
  cp new.lock karapace.lock
  KARAPACE_STORE=$PWD/lied-to refused "libfoo $libfoo_new" --locked
  expect_contains "the message" "sha256" "$errors"
  rm karapace.lock
  "forge_index_$manager"
  run_it karapace build --name it
  [ "$status" != 0 ] || fail "a forged index is believed"
  expect_contains "the message" "cannot read the package repositories" "$errors"
  stop_server
  run_it karapace build --name it
  [ "$status" != 0 ] || fail "a build without its repository succeeds"
  expect_contains "the message" "cannot read the package repositories" "$errors"
}
