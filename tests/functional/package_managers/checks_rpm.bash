# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

# check_rpm_manager DIRECTORY-OF-REPOSITORIES LINE-OF-THE-REPOSITORY PACKAGE...: of Debian, for the base.
check_rpm_manager() {
  local repositories=$1 line=$2
  shift 2
  make_key
  make_rpms
  publish_old
  make_system base rpm gpg gpg-agent "$@"
  serve site
  mkdir -p "base/$repositories" base/etc/{rpm,pki}
  cp key.asc base/etc/pki/fixture.asc
  echo '%_dbpath /var/lib/rpm' > base/etc/rpm/macros
  printf '[%s]\n' fixture > "base/$repositories/fixture.repo"
  printf '%s\n' "name=fixture" "baseurl=http://$server/repo/" "enabled=1" "gpgcheck=1" "repo_gpgcheck=1" "$line" \
    "gpgkey=file:///etc/pki/fixture.asc" >> "base/$repositories/fixture.repo"
  pack_system base base.tar
  mirrored=repo
  libfoo_old=1:1.0-1 libfoo_new=1:2.0-1 hello_old=1.0-1
  list_installed=(rpm -q libfoo)
  check_promises
}

check_dnf() {
  manager=dnf
  check_rpm_manager etc/yum.repos.d "" dnf
}

# To zypper a signed index is enough, unless it is told so.
check_zypper() {
  manager=zypper
  check_rpm_manager etc/zypp/repos.d pkg_gpgcheck=1 zypper findutils
}
