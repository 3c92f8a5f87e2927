# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# In which order dpkg unpacks and configures what a lock names. The archive is that of checks_repository.bash.

# with_script NAME_VERSION SCRIPT TEXT: a maintainer script for a package that new_package made.
with_script() {
  printf '#!/bin/sh\nset -e\n%s\n' "$3" > "packages/$1/DEBIAN/$2"
  chmod 755 "packages/$1/DEBIAN/$2"
  dpkg-deb --root-owner-group -Znone -b "packages/$1" "archive/pool/$1_all.deb" > deb.log
}

# In the base is a first version of what is upgraded, in steps of which each needs the one before to be configured, or
# breaks the old version of the next.
check_what_a_base_has_is_upgraded_in_steps() {
  own_archive
  local old
  for old in step-a step-b step-c break-a break-b break-c mutual-a mutual-b; do new_package "$old" 1; done
  index step-a_1 step-b_1 step-c_1 break-a_1 break-b_1 break-c_1 mutual-a_1 mutual-b_1
  serve_archive
  own_manifest '"step-a", "step-b", "step-c", "break-a", "break-b", "break-c", "mutual-a", "mutual-b"'
  expect_success karapace build own.toml --name own
  expect_success karapace export own -o steps.tar
  expect_success karapace destroy own --yes

  new_package step-a 2 'step-b (>= 2)'
  new_package step-b 2 'step-c (>= 2)'
  new_package step-c 2
  sed -i 's/^Depends/Pre-Depends/' packages/step-a_2/DEBIAN/control packages/step-b_2/DEBIAN/control
  with_script step-c_2 postinst 'touch /usr/share/step-c/ready'
  with_script step-b_2 preinst 'test -e /usr/share/step-c/ready'
  with_script step-b_2 postinst 'touch /usr/share/step-b/ready'
  with_script step-a_2 preinst 'test -e /usr/share/step-b/ready'
  new_package break-a 2
  new_package break-b 2
  new_package break-c 2
  new_package mutual-a 2 'mutual-b (>= 2)'
  new_package mutual-b 2
  breaks break-a_2 'break-b (<< 2)'
  breaks break-b_2 'break-c (<< 2)'
  breaks mutual-a_2 'mutual-b (<< 2)'
  breaks mutual-b_2 'mutual-a (<< 2)'
  index step-a_2 step-b_2 step-c_2 break-a_2 break-b_2 break-c_2 mutual-a_2 mutual-b_2
  stop_server
  serve_archive
  rm -f own.lock
  own_manifest '"step-a", "break-a", "mutual-a"'
  sed -i 's/base\.tar/steps.tar/' own.toml
  expect_success karapace build own.toml --name own
  expect_equal "what is installed" "2 2 2 2 2 2 2 2" \
    "$(karapace exec own -- sh -c 'dpkg-query -W -f "\${Version}\n" step-a step-b step-c break-a break-b break-c mutual-a mutual-b' | paste -sd ' ')"
  expect_success karapace verify-env own --rebuild
  expect_success karapace destroy own --yes
  stop_server
}

# breaks NAME_VERSION RELATION
breaks() {
  echo "Breaks: $2" >> "packages/$1/DEBIAN/control"
  dpkg-deb --root-owner-group -Znone -b "packages/$1" "archive/pool/$1_all.deb" > deb.log
}

# Of two packages with the same name in the file system, one with a symlink and one with a directory, dpkg takes the
# directory first and the other after it, but not the other way round.
check_what_a_package_needs_is_unpacked_before_it() {
  own_archive
  new_package aaa 1 common
  mkdir -p packages/aaa_1/usr/share/shared
  ln -s ../aaa packages/aaa_1/usr/share/shared/part
  with_script aaa_1 preinst 'test -e /usr/share/common/version'
  new_package common 1 library
  new_package library 1
  mkdir -p packages/library_1/usr/share/shared/part
  echo 'of the library' > packages/library_1/usr/share/shared/part/content
  with_script library_1 preinst 'test ! -e /usr/share/common/version'
  index aaa_1 common_1 library_1
  serve_archive
  own_manifest '"aaa"'
  expect_success karapace build own.toml --name own
  expect_equal "the library's file" "of the library" "$(karapace exec own -- cat /usr/share/shared/part/content)"
  expect_success karapace verify-env own --rebuild
  expect_success karapace destroy own --yes
  stop_server
}

check_a_preinst_finds_configured_what_it_needs() {
  own_archive
  new_package server 1 common
  new_package common 1 library
  new_package library 1
  sed -i 's/^Depends/Pre-Depends/' packages/server_1/DEBIAN/control packages/common_1/DEBIAN/control
  with_script library_1 postinst 'touch /usr/share/library/ready'
  with_script common_1 preinst 'test -e /usr/share/library/ready'
  with_script common_1 postinst 'touch /usr/share/common/ready'
  with_script server_1 preinst 'test -e /usr/share/common/ready'
  index server_1 common_1 library_1
  serve_archive
  own_manifest '"server"'
  expect_success karapace build own.toml --name own
  expect_equal "what is installed" "server 1" "$(karapace exec own -- cat /usr/share/server/version)"
  expect_success karapace destroy own --yes

  # What never works is told, with the package and what it said.
  with_script server_1 preinst 'echo "no room for a server" >&2; exit 3'
  index server_1 common_1 library_1
  rm own.lock
  run_it karapace build own.toml --name own
  expect_equal "exit status with a preinst that fails ($errors)" 1 "$status"
  expect_contains "the message" "server" "$errors"
  expect_contains "the message" "no room for a server" "$errors"
  run_it karapace inspect own
  expect_equal "exit status of inspecting what was not built" 1 "$status"
  stop_server
}

# Neither preinst fails when what it pre-depends on is not configured yet; both would only do something else. And who
# does not take part in that is configured when all is unpacked, and triggers run once, as with apt.
check_what_a_package_pre_depends_on_is_configured_before_it() {
  own_archive
  new_package ground 1
  new_package provider 1 ground
  new_package asker 1
  new_package second 1
  new_package bystander 1
  new_package listener 1
  echo 'Provides: service' >> packages/provider_1/DEBIAN/control
  echo 'Pre-Depends: service, listener' >> packages/asker_1/DEBIAN/control
  echo 'Pre-Depends: asker (>= 1)' >> packages/second_1/DEBIAN/control
  printf 'interest-noawait /usr/share/%s\n' asker second > packages/listener_1/DEBIAN/triggers
  with_script ground_1 postinst 'touch /usr/share/ground/ready'
  with_script provider_1 postinst 'test -e /usr/share/ground/ready; touch /usr/share/provider/ready'
  with_script asker_1 preinst 'mkdir -p /usr/share/asker
if [ -e /usr/share/provider/ready ]; then echo yes; else echo no; fi > /usr/share/asker/found'
  with_script asker_1 postinst 'touch /usr/share/asker/ready'
  with_script second_1 preinst 'mkdir -p /usr/share/second
if [ -e /usr/share/asker/ready ]; then echo yes; else echo no; fi > /usr/share/second/found'
  with_script bystander_1 postinst 'if [ -e /usr/share/second/version ]; then echo yes; else echo no; fi > /usr/share/bystander/found'
  with_script listener_1 postinst '[ "$1" != triggered ] || echo run >> /usr/share/listener/runs'
  index ground_1 provider_1 asker_1 second_1 bystander_1 listener_1
  serve_archive
  own_manifest '"asker", "bystander", "listener", "second"'
  expect_success karapace build own.toml --name own
  expect_equal "what the scripts found" "yes yes yes" \
    "$(karapace exec own -- cat /usr/share/asker/found /usr/share/second/found /usr/share/bystander/found | paste -sd ' ')"
  expect_equal "runs of the trigger" "run" "$(karapace exec own -- cat /usr/share/listener/runs)"
  expect_success karapace verify-env own --rebuild
  expect_success karapace destroy own --yes
  stop_server
}

# The index calls the package `other` liar, so that it never is there; and one that never works comes after it.
check_a_file_with_another_package_ends_the_build() {
  own_archive
  new_package other 1
  new_package liar 1
  new_package worthless 1
  cp archive/pool/other_1_all.deb archive/pool/liar_1_all.deb
  with_script worthless_1 preinst 'echo "never" >&2; exit 3'
  index liar_1 worthless_1
  sed -i 's/^Package: other/Package: liar/' archive/Packages
  release
  serve_archive
  own_manifest '"liar", "worthless"'
  run_it karapace build own.toml --name own
  expect_equal "exit status with a preinst that fails ($errors)" 1 "$status"
  expect_contains "the message" "never" "$errors"
  own_manifest '"liar"'
  rm -f own.lock
  run_it karapace build own.toml --name own
  expect_equal "exit status with another package ($errors)" 2 "$status"
  expect_contains "the message" "liar" "$errors"
  run_it karapace inspect own
  expect_equal "exit status of inspecting what was not built" 1 "$status"
  stop_server
}
