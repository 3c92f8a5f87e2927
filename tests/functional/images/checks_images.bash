# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

# The same image from a registry (gzip, zstd), a layout and an archive is the same layer, and what podman makes of it.
check_images_are_what_podman_makes_of_them() {
  make_layers
  tag layout v1 "$(manifest layout "$(machine)" one.tar two.tar)"
  start_registry
  push layout:v1 team/tool:gzip
  push layout:v1 team/tool:zstd --dest-compress-format zstd
  build "oci:$registry/team/tool:gzip"
  local flat=$base image
  expect_contains "the lock" 'provider = "oci"' "$(cat karapace.lock)"
  for image in "oci://$registry/team/tool:zstd" "oci-layout:./layout:v1" "rootfs:./layout" "oci-archive:./image.tar"; do
    [ "$image" != oci-archive:./image.tar ] || skopeo --insecure-policy copy -q oci:layout:v1 oci-archive:image.tar
    afresh
    build "$image"
    expect_equal "the layer of $image" "$flat" "$base"
  done
  expect_equal "what a session sees" two "$(karapace exec it -- cat /etc/changed)"

  printf 'manifest_version = 1\n[base]\nimage = "oci:%s/team/tool:gzip"\n[system]\npackages = []\nownership = "mapped"\n' \
    "$registry" > mapped.toml
  expect_success karapace build mapped.toml --name mapped
  expect_success karapace export mapped --output ours.tar
  podman_tree team/tool:gzip theirs.tar
  describe_archive ours.tar > ours.txt
  describe_archive theirs.tar > theirs.txt
  cmp -s ours.txt theirs.txt || fail "the trees differ: $(diff theirs.txt ours.txt | head -n 20)"
  [ "$(wc -l < ours.txt)" -gt 200 ] || fail "too little was compared: $(cat ours.txt)"
  grep -q '^33/33 etc/sub/new$' ours.txt || fail "owners were not compared"
  grep -q 'user.note' ours.txt || fail "attributes were not compared"
  stop_registry
}

# A tag may move: the lock does not, until it is asked to. What was fetched is built again without any network.
check_the_lock_decides_and_needs_no_network() {
  make_layers
  tag layout old "$(manifest layout "$(machine)" one.tar)"
  tag layout new "$(index layout "$(manifest layout arm 'two.tar')" "$(manifest layout "$(machine)" one.tar two.tar)")"
  start_registry
  push layout:old team/tool:1
  build "oci:$registry/team/tool:1"
  local old=$base
  cp karapace.lock old.lock
  push layout:new team/tool:1 --all
  build "oci:$registry/team/tool:1"
  expect_equal "the layer while the lock is there" "$old" "$base"
  expect_success karapace build --name it --update
  [ "$(sed -n 's/^base_image_digest = "\(.*\)"/\1/p' karapace.lock)" != "$old" ] || fail "--update did not move the tag"
  local digest
  digest=$(sed -n 's/^index_sha256 = "\(.*\)"/\1/p' karapace.lock)
  [ -n "$digest" ] || fail "the lock does not name the index: $(cat karapace.lock)"
  cp karapace.lock new.lock

  # A manifest that is pinned names the index of the lock, and the lock stays the one it is.
  local id
  id=$(sed -n 's/^env_id = "\(.*\)"/\1/p' karapace.lock)
  run_it karapace pin --check
  expect_equal "exit status for a tag" 1 "$status"
  expect_success karapace pin
  expect_contains "the pinned manifest" "image = \"oci:$registry/team/tool:1@sha256:$digest\"" "$(cat karapace.toml)"
  expect_success karapace pin --check
  expect_success karapace build --name it --locked --offline --json
  expect_equal "env_id of the pinned manifest" "$id" "$(json_value env_id "$output")"
  write_manifest karapace.toml "oci:$registry/team/tool:1" ""

  # The registry still has what the old lock names, and another store gets the same from it.
  cp old.lock karapace.lock
  KARAPACE_STORE=$PWD/other expect_success karapace build --name it --locked
  expect_equal "the old lock in another store" "$old" "$(json_value base_layer "$(KARAPACE_STORE=$PWD/other karapace inspect it --json)")"
  afresh
  build "oci:$registry/team/tool@sha256:$digest" --require-pinned-image
  refused "base.image is not pinned" "oci:$registry/team/tool:1" --require-pinned-image --update
  stop_registry

  # Only packages are left in the store.
  cp new.lock karapace.lock
  write_manifest karapace.toml "oci:$registry/team/tool:1" ""
  expect_success karapace destroy it --yes
  chmod -R u+w "$store/trees"
  rm -rf "$store"/trees/* "$store"/store/layers/* "$store"/store/builds/*
  expect_success unshare --user --map-root-user --net "$bin/karapace" build --name it --locked --offline
  afresh
  refused "must be resolved, and the lock file does not say how" "oci:$registry/team/tool:1" --offline
}

# Passwords of podman login, for a registry that wants to see them.
check_logins_are_used() {
  make_layers
  tag layout v1 "$(manifest layout "$(machine)" one.tar)"
  # "xyzzy-plugh" by bcrypt
  echo "me:\$2b\$05\$abcdefghijklmnopqrstuuiWDkb7FVBZbuJYUqrSglcM9Ir6P7eMy" > htpasswd
  start_registry "$PWD/htpasswd"
  push layout:v1 team/tool:1 --dest-creds me:xyzzy-plugh
  refused "only for those who log in" "oci:$registry/team/tool:1"
  expect_contains "the way out" "podman login ${registry%:*}" "$errors"
  skopeo login --tls-verify=false --authfile auth.json --username me --password-stdin "$registry" <<< xyzzy-plugh > /dev/null
  afresh
  REGISTRY_AUTH_FILE=$PWD/auth.json build "oci:$registry/team/tool:1"
  cp karapace.lock kept.lock
  # The files of an image in use stay, and one that is damaged comes from where it came from.
  local kept sum
  kept=$(packages)
  expect_success karapace gc --yes
  expect_equal "the files of the image after gc" "$kept" "$(packages)"
  sum=$(sed -n '/role = "layer"/,/^size/s/^sha256 = "\(.*\)"/\1/p' karapace.lock)
  chmod u+w "$store/store/packages/$sum"
  echo damaged >> "$store/store/packages/$sum"
  run_it karapace verify-store
  [ "$status" != 0 ] || fail "verify-store did not see the damage"
  REGISTRY_AUTH_FILE=$PWD/auth.json expect_success karapace verify-store --repair
  [ "$(sha256sum < "$store/store/packages/$sum")" = "$sum  -" ] || fail "the layer was not repaired"
  mkdir -p run/containers
  sed "s/\"auth\": *\"[^\"]*\"/\"auth\":\"$(printf me:wrong | base64)\"/" auth.json > run/containers/auth.json
  afresh
  refused "does not accept the credentials" "oci:$registry/team/tool:1" --update
  if grep -q -r -e xyzzy-plugh -e "$(printf me:xyzzy-plugh | base64)" "$store" kept.lock; then fail "a password is kept"; fi
  stop_registry
}

# Whoever sits between us and the registry can break a build, never change it.
check_lies_are_refused_with_their_name() {
  make_layers
  layer one/usr lib.tar
  tag layout v1 "$(manifest layout "$(machine)" one.tar two.tar lib.tar)"
  tag layout other "$(manifest layout "$(machine)" two.tar)"
  mkdir -p site/v2/x/manifests
  cp -r layout/blobs site/v2/x/
  local sum file
  for file in layout/blobs/sha256/*; do
    sum=${file##*/}
    mv "site/v2/x/blobs/sha256/$sum" "site/v2/x/blobs/sha256:$sum"
    cp "$file" "site/v2/x/manifests/sha256:$sum"
  done
  tag_of() { sed -n "/\"$1\"/s/.*\"digest\":\"sha256:\([0-9a-f]*\)\".*/\1/p" layout.entries; }
  cp "site/v2/x/manifests/sha256:$(tag_of v1)" site/v2/x/manifests/1
  local first
  first=$(sha256sum two.tar)
  first=${first%% *}

  lie() { # PART-OF-THE-MESSAGE SERVER-OPTIONS...
    local part=$1
    shift
    serve site "$@"
    afresh
    refused "$part" "oci:$server/x:1"
    expect_contains "the name of the image" "$server/x:1" "$errors"
    stop_server
  }
  lie "layer 2 (sha256:${first:0:12}) from" --fault "wrong-bytes=blobs/sha256:$first"
  lie "sha256 is wrong" --fault "wrong-bytes=blobs/sha256:$first"
  lie "bytes, expected $(stat -c %s two.tar)" --fault "short-bytes=blobs/sha256:$first"
  lie "sends more than the $(stat -c %s two.tar) bytes" --fault "endless-bytes=blobs/sha256:$first"
  lie "redirects to file:///etc/passwd, which is refused" --location file:///etc/passwd --fault "redirect=blobs/sha256:$first"
  lie "answers 404" --fault "not-found=blobs/sha256:$first"
  lie "sends more than" --fault endless-bytes=manifests/1
  lie "redirects to gopher://x" --location gopher://x --fault redirect=manifests/1
  cp "site/v2/x/manifests/sha256:$(tag_of other)" "site/v2/x/manifests/sha256:$(tag_of v1)"
  serve site
  afresh
  refused "sha256:$(tag_of v1) expected" "oci:$server/x@sha256:$(tag_of v1)"
  stop_server
  cp site/v2/x/manifests/1 "site/v2/x/manifests/sha256:$(tag_of v1)"

  # A connection that breaks is taken up again, and after all of that the image is what it is.
  serve site --times 2 --fault drop-midway=blobs/
  afresh
  build "oci:$server/x:1"
  # A lock that names one manifest and lists the layers of another. Whoever made it knew how to sum it.
  sed -i -e "s/$(tag_of v1)/$(tag_of other)/" \
    -e "/role = \"manifest\"/,/^size/s/^size = .*/size = $(stat -c %s "site/v2/x/manifests/sha256:$(tag_of other)")/" \
    karapace.lock
  sed -i "s/^checksum = .*/checksum = \"$(grep -v -e '^#' -e '^checksum' karapace.lock | b3sum --no-names)\"/" karapace.lock
  store=$PWD/other KARAPACE_STORE=$PWD/other refused "lists other layers than its manifest sha256:$(tag_of other) has" \
    "oci:$server/x:1" --locked
  stop_server
}

# A layout is input, too.
check_damaged_layouts_are_refused() {
  make_layers
  tag layout a "$(manifest layout "$(machine)" one.tar)"
  tag layout b "$(manifest layout "$(machine)" two.tar)"
  refused "it has several images: a, b" oci-layout:layout
  refused "no image with that tag" oci-layout:layout:c
  refused "nowhere does not exist" oci-layout:nowhere:c
  local sum
  sum=$(sha256sum one.tar)
  sum=${sum%% *}
  cp -r layout broken
  printf x >> "broken/blobs/sha256/$sum"
  refused "sha256:$sum has other bytes" oci-layout:broken:a
  rm "broken/blobs/sha256/$sum"
  refused "sha256:$sum is missing" oci-layout:broken:a
  ln -s /etc/passwd "broken/blobs/sha256/$sum"
  refused "symbolic links" oci-layout:broken:a
  rm "broken/blobs/sha256/$sum"
  mkfifo "broken/blobs/sha256/$sum"
  refused "is not a file" oci-layout:broken:a
  rm broken/oci-layout
  refused "no file 'oci-layout'" oci-layout:broken:a
  tag foreign v1 "$(manifest foreign s390x one.tar)"
  refused "no image for linux/$(machine), only for linux/s390x" oci-layout:foreign
  echo '#!' > one.sh
  refused "not a usable tar archive" oci-archive:one.sh
}

# The format of images.linuxcontainers.org, on loopback.
check_image_servers_give_their_newest_build() {
  make_layers
  xz -0 -c one.tar > rootfs.tar.xz
  local build path arch sum
  sum=$(sha256sum rootfs.tar.xz)
  arch=$(machine)
  mkdir -p site/streams/v1
  local versions=''
  for build in 20260218_05:24 20260220_05:24; do
    path=images/toy/1/$arch/default/$build
    mkdir -p "site/$path"
    cp rootfs.tar.xz "site/$path/"
    versions+=",\"$build\":{\"items\":{\"lxd.tar.xz\":{\"ftype\":\"lxd.tar.xz\",\"sha256\":\"${sum%% *}\",\"size\":1,
      \"path\":\"$path/lxd.tar.xz\"},\"root.tar.xz\":{\"ftype\":\"root.tar.xz\",\"sha256\":\"${sum%% *}\",
      \"size\":$(stat -c %s rootfs.tar.xz),\"path\":\"$path/rootfs.tar.xz\"}}}"
  done
  echo '{"index":{"images":{"datatype":"image-downloads","path":"streams/v1/images.json","format":"products:1.0",
    "products":["toy:1"]}},"format":"index:1.0"}' > site/streams/v1/index.json
  printf '{"content_id":"images","datatype":"image-downloads","format":"products:1.0","products":{"toy:1:%s:default":
    {"aliases":"toy/1/default,toy/1,toy","arch":"%s","os":"Toy","release":"1","release_title":"1","requirements":{},
    "variant":"default","versions":{%s}}}}' "$arch" "$arch" "${versions#,}" > site/streams/v1/images.json

  serve site
  KARAPACE_MIRROR=images=http://$server build images:toy
  local lock
  lock=$(cat karapace.lock)
  expect_contains "the lock" 'version = "20260220_05:24"' "$lock"
  expect_contains "the lock" "url = \"https://images.linuxcontainers.org/images/toy/1/$arch/default/20260220_05%3A24/rootfs.tar.xz\"" "$lock"
  expect_equal "what a session sees" one "$(karapace exec it -- cat /etc/changed)"
  local streamed=$base
  expect_success karapace pin --write-lock
  expect_contains "the pinned manifest" "rootfs.tar.xz#sha256=${sum%% *}\"" "$(cat karapace.toml)"
  expect_success karapace build --name it --locked --offline --json
  expect_equal "the layer of the pinned image" "$streamed" "$(json_value base_layer "$output")"
  afresh
  build rootfs:./one.tar
  expect_equal "the layer of the same files" "$streamed" "$base"
  afresh
  export KARAPACE_MIRROR=images=http://$server
  refused "no image 'toy/2' for $arch" images:toy/2
  expect_contains "what there is" "it has toy/1" "$errors"
  refused "no image 'fedora/41'" fedora
  stop_server
  serve site --fault wrong-bytes=rootfs.tar.xz
  export KARAPACE_MIRROR=images=http://$server
  rm -rf "$store"/store/packages/*
  chmod -R u+w "$store/trees"
  rm -rf "$store"/trees/* "$store"/store/layers/* "$store"/store/builds/*
  refused "sha256 is wrong" images:toy
  expect_contains "the name" "toy rootfs" "$errors"
  stop_server
}
