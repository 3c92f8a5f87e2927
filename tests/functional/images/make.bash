# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Images made by hand, and the programs that other people use to read and keep them.

# layer DIR FILE [TAR-OPTIONS...]: what is in DIR as a layer of root's.
layer() {
  local from=$1 to=$2
  shift 2
  tar --create --file "$to" --directory "$from" --format posix --sort name --owner 0 --group 0 --numeric-owner \
    --mtime @1700000000 --pax-option 'delete=atime,delete=ctime' "$@" .
}

# A small system with one of everything, and a layer that changes it in every way there is.
make_layers() {
  mkdir -p one/{bin,dev,proc,sys,run,tmp,root,home,etc/sub,usr/lib,usr/share/many,var/tmp,old/deep} two
  cp "$(command -v busybox)" one/bin/busybox
  local name
  for name in sh cat ls stat; do ln -s busybox "one/bin/$name"; done
  printf 'root:x:0:0:root:/root:/bin/sh\n' > one/etc/passwd
  printf 'root:x:0:\n' > one/etc/group
  echo one > one/etc/changed
  echo one > one/etc/gone
  echo one > one/etc/sub/hidden
  echo one > one/old/deep/file
  echo one > one/usr/lib/linked
  ln one/usr/lib/linked one/usr/lib/linked-too
  ln -s usr/lib one/lib
  ln -s /etc/passwd 'one/a link with spaces'
  echo "ä" > "one/ünïcode"
  printf '%0200d' 0 | tr 0 n > name
  echo long > "one/usr/share/$(cat name)"
  mkfifo one/run/pipe
  echo setuid > one/bin/su
  chmod 4755 one/bin/su
  chmod 1777 one/tmp one/var/tmp
  chmod 700 one/root
  echo dir > one/type-a
  mkdir one/type-b
  echo x > one/type-b/x
  truncate -s 5M one/usr/share/sparse
  echo end >> one/usr/share/sparse
  for name in $(seq 50); do echo "$name" > "one/usr/share/many/$name"; done

  mkdir -p two/{etc/sub,usr/lib,usr/share/many,type-a,old/deep}
  echo two > two/etc/changed
  touch two/etc/.wh.gone two/etc/sub/.wh..wh..opq two/.wh.old two/usr/share/many/.wh.7
  echo two > two/etc/sub/new
  echo two > two/old/deep/new
  echo two > two/usr/lib/linked
  echo two > two/type-b
  echo two > two/type-a/x
  chmod 750 two/etc/sub
  layer one one.tar --pax-option 'SCHILY.xattr.user.note:=one,delete=atime,delete=ctime'
  layer two two.tar --owner 33 --group 33
}

blob() { # LAYOUT FILE -> digest
  local sum
  sum=$(sha256sum < "$2")
  sum=${sum%% *}
  mkdir -p "$1/blobs/sha256"
  cp "$2" "$1/blobs/sha256/$sum"
  echo "$sum"
}

descriptor() { # LAYOUT MEDIA-TYPE FILE [MORE]
  printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s%s}' "$2" "$(blob "$1" "$3")" \
    "$(stat -c %s "$3")" "${4:-}"
}

# manifest LAYOUT ARCHITECTURE LAYER... -> descriptor of the manifest, with its platform
manifest() {
  local layout=$1 arch=$2 layers='' ids='' file
  shift 2
  for file in "$@"; do
    layers+=",$(descriptor "$layout" layer.v1.tar "$file")"
    ids+=",\"sha256:$(sha256sum < "$file" | cut -d ' ' -f 1)\""
  done
  printf '{"os":"linux","architecture":"%s","config":{},"rootfs":{"type":"layers","diff_ids":[%s]}}' "$arch" \
    "${ids#,}" > config.json
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' \
    "$(descriptor "$layout" config.v1+json config.json)" "${layers#,}" > manifest.json
  descriptor "$layout" manifest.v1+json manifest.json ",\"platform\":{\"os\":\"linux\",\"architecture\":\"$arch\"}"
}

# tag LAYOUT NAME DESCRIPTOR: another image in the layout.
tag() {
  local entry="${3%\}},\"annotations\":{\"org.opencontainers.image.ref.name\":\"$2\"}}"
  echo "$entry" >> "$1.entries"
  printf '{"schemaVersion":2,"manifests":[%s]}' "$(paste -sd , "$1.entries")" > "$1/index.json"
  echo '{"imageLayoutVersion":"1.0.0"}' > "$1/oci-layout"
}

index() { # LAYOUT DESCRIPTOR... -> descriptor of an index
  local layout=$1
  shift
  local IFS=,
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}' "$*" > index.json
  descriptor "$layout" index.v1+json index.json
}

machine() { dpkg --print-architecture; }

# start_registry [HTPASSWD-FILE]: sets $registry to HOST:PORT.
start_registry() {
  cat > registry.yml << TEXT
version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $PWD/registry}}
http: {addr: "127.0.0.1:0", secret: "of this test"}
TEXT
  [ $# = 0 ] || printf 'auth: {htpasswd: {realm: test, path: "%s"}}\n' "$1" >> registry.yml
  : > registry.log
  docker-registry serve registry.yml > registry.log 2>&1 &
  registry_process=$!
  within 30 grep -q 'listening on' registry.log || fail "the registry does not start: $(cat registry.log)"
  registry=$(sed -n 's/.*listening on \(127.0.0.1:[0-9]*\).*/\1/p' registry.log | head -n 1)
}

stop_registry() {
  kill "$registry_process"
  wait "$registry_process" || true
}

push() { # LAYOUT:TAG NAME:TAG [SKOPEO-OPTIONS...]
  local from=$1 to=$2
  shift 2
  skopeo --insecure-policy copy -q --dest-tls-verify=false "$@" "oci:$from" "docker://$registry/$to"
}

# build IMAGE [ARGUMENTS...]: builds karapace.toml with that base, sets $base to the digest of its layer.
build() {
  write_manifest karapace.toml "$1" ""
  shift
  expect_success karapace build --name it "$@"
  base=$(sed -n 's/^base_image_digest = "\(.*\)"/\1/p' karapace.lock)
}

afresh() { rm -f karapace.lock; }

known_trees() { [ ! -d "$store/trees" ] || trees; }

# refused PART-OF-THE-MESSAGE IMAGE [ARGUMENTS...]: nothing may be left in the store but whole downloads.
refused() {
  local part=$1
  write_manifest karapace.toml "$2" ""
  shift 2
  known_trees > trees-before.txt
  run_it timeout 100 "$bin/karapace" build --name it "$@"
  expect_equal "exit status of a build that should say '$part' ($errors)" 2 "$status"
  expect_contains "the message" "$part" "$errors"
  known_trees | cmp -s trees-before.txt - || fail "a tree is left after '$part'"
  is_empty "$store/store/staging" || fail "something is left in staging after '$part'"
  is_empty "$store/store/wal" || fail "an operation is left open after '$part'"
}

# What an archive of a whole system holds, whoever wrote it: type, mode, owner, link, content and times of files.
describe_archive() { # FILE
  rm -rf described
  mkdir described
  tar --extract --warning no-unknown-keyword --file "$1" --directory described --preserve-permissions --xattrs --xattrs-include='user.*' \
    --exclude ./dev --exclude dev
  # Groups of hard links by their smallest name.
  (cd described && find . -mindepth 1 ! -path './dev*' \( -type d -printf '%P %y %m\n' -o \
    -type f -printf '%P %y %m %s %n %Ts\n' -o -printf '%P %y %m %l\n' \) | LC_ALL=C sort)
  (cd described && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
  tar --list --verbose --warning no-unknown-keyword --numeric-owner --file "$1" |
    sed -E 's/^[^ ]+ +([0-9]+\/[0-9]+) .* [0-9]{2}:[0-9]{2} /\1 /; s/ (->|link to) .*//; s,/$,,; s, \./, ,' |
    grep -v -E ' (dev|dev/.*|\.)?$' | LC_ALL=C sort
  (cd described && getfattr_all)
  chmod -R u+rwX described
  rm -rf described
}

# Extended attributes without a program that may not be there: tar knows them.
getfattr_all() {
  tar --create --xattrs --format posix --sort name --file - . | tar --list --xattrs -vv --file - |
    awk '/^[-dlp]/ { name = $NF } /^  x:/ { print name, $0 }' | LC_ALL=C sort
}

# What podman makes of an image, as an archive.
podman_tree() { # NAME:TAG FILE
  local podman=(podman --root "$PWD/podman" --runroot "$PWD/run/podman" --storage-driver vfs --cgroup-manager cgroupfs
    --events-backend none)
  local id
  "${podman[@]}" pull -q --tls-verify=false "$registry/$1" > /dev/null 2> podman-errors.txt ||
    fail "podman cannot pull: $(cat podman-errors.txt)"
  id=$("${podman[@]}" create "$registry/$1" /bin/sh 2> podman-errors.txt) || fail "podman: $(cat podman-errors.txt)"
  "${podman[@]}" export --output "$2" "$id" 2> podman-errors.txt || fail "podman: $(cat podman-errors.txt)"
  "${podman[@]}" system reset --force > /dev/null 2>&1 || true
}
