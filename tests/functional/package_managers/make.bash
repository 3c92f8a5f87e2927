# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A small system out of this machine's packages, and repositories for it.

# make_system DIR PACKAGE...: what these packages and their dependencies ship, without what only people read. No
# script of theirs runs.
make_system() {
  local to=$1
  shift
  mkdir -p "$to"/usr/{bin,sbin,lib,lib64}
  apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
    --installed "$@" base-files bash coreutils dash grep libc-bin sed tar | grep '^[a-z0-9]' | sort -u > packages.txt
  { xargs dpkg-query -L < packages.txt 2> /dev/null || true; } | grep '^/..' | sort -u |
    grep -v -E '^/usr/share/(doc|man|locale|info|icu|perl5|bash-completion|lintian|i18n)/|/gconv/|/lib2to3/' | sed 's,^/,,' > files.txt
  # Some files only root may read; nothing here needs them.
  { tar --create --directory / --no-recursion --ignore-failed-read --files-from files.txt 2> /dev/null || true; } |
    tar --extract --directory "$to"
  mkdir -p "$to"/{dev,proc,sys,run,tmp,root,home,etc,var/tmp}
  chmod -R u+rwX "$to"
  printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n' > "$to/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' > "$to/etc/group"
}

# A key to sign with, its public part in key.asc.
make_key() {
  export GNUPGHOME=$PWD/gnupg
  mkdir -m 700 "$GNUPGHOME"
  gpg --batch --quiet --passphrase '' --quick-generate-key 'Fixture <fixture@example.org>' rsa2048 sign never \
    2> gpg.txt || fail "no key: $(cat gpg.txt)"
  gpg --batch --armor --export > key.asc
}
end_of_signing() { gpgconf --kill gpg-agent; }

# locked KEY NAME: of the package NAME in karapace.lock.
locked() {
  awk -v name="$2" -v key="$1" '$1 == "name" { inside = $3 == "\"" name "\"" }
    inside && $1 == key { gsub(/"/, "", $3); print $3; exit }' karapace.lock
}
closure() { awk '/^\[\[/ { inside = $1 == "[[resolved_packages]]" } inside && $1 == "name" { gsub(/"/, "", $3); print $3 }' karapace.lock | paste -sd ' '; }

# refused PART-OF-THE-MESSAGE [ARGUMENTS...]: a build of karapace.toml in the current store.
refused() {
  local part=$1
  shift
  run_it timeout 100 "$bin/karapace" build --name it "$@"
  expect_equal "exit status of a build that should say '$part' ($errors)" 2 "$status"
  expect_contains "the message" "$part" "$errors"
  is_empty "$KARAPACE_STORE/store/staging" || fail "something is left in staging after '$part'"
}

# As an image of one file: its checksum says whether it is the same again.
pack_system() { # DIR FILE
  tar --create --file "$2" --directory "$1" --sort name --owner 0 --group 0 --numeric-owner .
}
