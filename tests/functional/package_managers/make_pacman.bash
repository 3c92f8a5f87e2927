# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

# pacman_package NAME VERSION [LINE-OF-PKGINFO...]: with one file, which says its version; install.txt is its script.
pacman_package() {
  local name=$1 version=$2 number=${2#*:} line
  shift 2
  rm -rf one-package
  mkdir -p "one-package/usr/share/$name"
  echo "${number%-*}" > "one-package/usr/share/$name/version"
  {
    printf '%s\n' "pkgname = $name" "pkgbase = $name" "pkgver = $version" "pkgdesc = fixture" "url = http://example.org" \
      "builddate = 1735689600" "packager = Fixture <fixture@example.org>" "size = 4" "arch = any" "license = none"
    for line in "$@"; do echo "$line"; done
  } > one-package/.PKGINFO
  local files=(.PKGINFO usr)
  if [ -e install.txt ]; then
    mv install.txt one-package/.INSTALL
    files+=(.INSTALL)
  fi
  tar --create --gzip --file "pkgs/$name-$version-any.pkg.tar.gz" --directory one-package --sort name --owner 0 --group 0 \
    --numeric-owner --mtime @1735689600 "${files[@]}"
}

# The packages of two moments: in `new` all but `extra` have moved on.
make_pacman_packages() {
  mkdir pkgs
  local version
  for version in 1.0 2.0; do
    pacman_package libfoo "1:$version-1" "provides = foo-api=$version"
    printf '%s\n' "post_install() {" "  echo configured > /usr/share/hello/configured" "  date +%s%N > /var/log/hello.log" "}" \
      > install.txt
    pacman_package hello "$version-1" "depend = foo-api>=1" "depend = sh-api"
  done
  pacman_package shell 5-1 "provides = sh-api"
  pacman_package extra 1.0-1 "depend = foo-api" "provides = two-apis" "group = pair"
  pacman_package never 1.0-1 "depend = foo-api" "conflict = hello" "provides = two-apis" "group = pair"
  pacman_package unsigned 1.0-1
  local file
  for file in pkgs/*.gz; do
    [[ $file == */unsigned-* ]] || gpg --batch --quiet --detach-sign --output "$file.sig" "$file"
  done
}

# publish_pacman FILE...: the repository has exactly these.
publish_pacman() {
  rm -rf site/repo
  mkdir -p site/repo
  local file
  for file in "$@"; do cp "pkgs/$file"-any.pkg.tar.gz* site/repo/; done
  repo-add --quiet site/repo/fixture.db.tar.gz site/repo/*.pkg.tar.gz > repo-add.txt 2>&1 ||
    fail "repo-add: $(cat repo-add.txt)"
  rm -f site/repo/fixture.db site/repo/fixture.files*
  mv site/repo/fixture.db.tar.gz site/repo/fixture.db
  gpg --batch --quiet --detach-sign --output site/repo/fixture.db.sig site/repo/fixture.db
}
publish_old_pacman() { publish_pacman {libfoo-1:1.0,hello-1.0,extra-1.0,never-1.0,unsigned-1.0,shell-5}-1; }
publish_new_pacman() { publish_pacman {libfoo-1:2.0,hello-2.0,extra-1.0,never-1.0,unsigned-1.0,shell-5}-1; }

# An index that nobody signed.
forge_index_pacman() { echo x >> site/repo/fixture.db; }
