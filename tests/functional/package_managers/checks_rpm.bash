# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

check_dnf() {
  manager=dnf
  make_key
  make_rpms
  publish_old
  make_system base dnf rpm gpg gpg-agent
  serve site
  mkdir -p base/etc/{yum.repos.d,rpm,pki}
  cp key.asc base/etc/pki/fixture.asc
  echo '%_dbpath /var/lib/rpm' > base/etc/rpm/macros
  printf '[%s]\n' fixture > base/etc/yum.repos.d/fixture.repo
  printf '%s\n' "name=fixture" "baseurl=http://$server/repo/" "gpgcheck=1" "repo_gpgcheck=1" \
    "gpgkey=file:///etc/pki/fixture.asc" >> base/etc/yum.repos.d/fixture.repo
  pack_system base base.tar
  mirrored=repo
  libfoo_old=1:1.0-1 libfoo_new=1:2.0-1 hello_old=1.0-1
  list_installed=(rpm -q libfoo)
  check_promises
}
