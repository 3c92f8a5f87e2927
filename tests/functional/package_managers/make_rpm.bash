# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

# spec NAME VERSION [LINE...]: an architecture-independent package with one file, which says its version.
spec() {
  local name=$1 version=$2
  shift 2
  {
    printf '%s\n' "Name: $name" "Version: $version" "Release: 1" "Summary: fixture" "License: none" "BuildArch: noarch" \
      "AutoReqProv: no"
    local line
    for line in "$@"; do [[ ! $line =~ ^[A-Z][a-z]+:\  ]] || printf '%s\n' "$line"; done
    printf '%s\n' "%description" "fixture" "%install" "mkdir -p %{buildroot}/usr/share/$name" \
      "echo $version > %{buildroot}/usr/share/$name/version"
    for line in "$@"; do [[ $line =~ ^[A-Z][a-z]+:\  ]] || printf '%s\n' "$line"; done
    printf '%s\n' "%files" "/usr/share/$name"
  } > "specs/$name-$version.spec"
}

# The packages of two moments: in `new` all but `extra` have moved on.
make_rpms() {
  mkdir -p specs
  local version
  for version in 1.0 2.0; do
    spec libfoo "$version" "Epoch: 1" "Provides: foo-api = $version"
    spec hello "$version" "Requires: foo-api >= 1" "Requires: /bin/sh" "%post" \
      "echo configured > /usr/share/hello/configured" "date +%%s%%N > /var/log/hello.log"
  done
  spec shell 5 "Provides: /bin/sh"
  spec extra 1.0 "Requires: foo-api" "Provides: two-apis"
  spec never 1.0 "Requires: foo-api" "Conflicts: hello" "Provides: two-apis"
  spec unsigned 1.0
  SOURCE_DATE_EPOCH=1735689600 rpmbuild --quiet -bb --define "_topdir $PWD/rpmbuild" --define "_buildhost fixture" \
    --define "use_source_date_epoch_as_buildtime 1" --define "_rpmdir $PWD/rpms" --define "_build_name_fmt %%{NAME}-%%{VERSION}.rpm" \
    specs/*.spec > rpmbuild.txt 2>&1 || fail "rpmbuild: $(cat rpmbuild.txt)"
  mv rpms/unsigned-1.0.rpm .
  rpmsign --addsign --define "_gpg_name Fixture" --define "__gpg $(command -v gpg)" rpms/*.rpm > rpmsign.txt 2>&1 || fail "rpmsign: $(cat rpmsign.txt)"
  mv unsigned-1.0.rpm rpms/
}

# publish_rpms FILE...: the repository has exactly these.
publish_rpms() {
  rm -rf site/repo
  mkdir -p site/repo/packages
  local file
  for file in "$@"; do cp "rpms/$file" site/repo/packages/; done
  createrepo_c --quiet --checksum "${checksum:-sha256}" --no-database --revision 1 --set-timestamp-to-revision site/repo > createrepo.txt 2>&1 ||
    fail "createrepo_c: $(cat createrepo.txt)"
  gpg --batch --quiet --armor --detach-sign --output site/repo/repodata/repomd.xml.asc site/repo/repodata/repomd.xml
}
publish_old() { publish_rpms {libfoo,hello,extra,never,unsigned}-1.0.rpm shell-5.rpm; }
publish_new_rpm() { publish_rpms {libfoo,hello}-2.0.rpm {extra,never,unsigned}-1.0.rpm shell-5.rpm; }
publish_old_dnf() { publish_old; }
publish_new_dnf() { publish_new_rpm; }
# openSUSE's own index has no other hashes.
publish_old_zypper() { checksum=sha512 publish_old; }
publish_new_zypper() { checksum=sha512 publish_new_rpm; }

# An index that nobody signed.
forge_index_rpm() { echo '<!-- -->' >> site/repo/repodata/repomd.xml; }
forge_index_dnf() { forge_index_rpm; }
forge_index_zypper() { forge_index_rpm; }
