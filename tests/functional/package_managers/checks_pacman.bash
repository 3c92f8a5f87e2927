# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

check_pacman() {
  manager=pacman
  make_key
  make_pacman_packages
  publish_old_pacman
  make_system base pacman-package-manager gpg
  serve site
  mkdir -p base/var/lib/pacman base/var/cache/pacman/pkg base/etc/pacman.d
  mkdir -m 700 base/etc/pacman.d/gnupg
  GNUPGHOME=$PWD/base/etc/pacman.d/gnupg gpg --batch --quiet --import key.asc
  gpg --batch --quiet --export-ownertrust | GNUPGHOME=$PWD/base/etc/pacman.d/gnupg gpg --batch --quiet --import-ownertrust
  GNUPGHOME=$PWD/base/etc/pacman.d/gnupg gpg --batch --quiet --check-trustdb 2> gpg.txt
  printf '%s\n' "[options]" "Architecture = auto" "CheckSpace" "SigLevel = Required" "[fixture]" "Server = http://$server/repo" \
    > base/etc/pacman.conf
  pack_system base base.tar
  mirrored=repo
  libfoo_old=1:1.0-1 libfoo_new=1:2.0-1 hello_old=1.0-1
  list_installed=(pacman -Q libfoo)
  check_promises
}
