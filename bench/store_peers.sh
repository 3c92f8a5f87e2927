# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
# Part of bench/store: the store beside its peers on one real tree.

use() { [[ " $present " == *" $1 "* ]]; }

find_peers() {
  present=' '
  for peer in $peers; do
    if have "$peer"; then present+="$peer "; else missing+=("$peer (not installed)"); fi
  done
}

prepare_tree() {
  make_tree
  mkdir -p "$peer_tree"
  run_step unpack "$peer_tree"
  into=/
  [ -d "$peer_tree/usr" ] || into=/srv/tree
  count=$(find "$peer_tree" -type f | wc -l)
  printf 'tree: %s files, %s directories, %s links, %s MiB\n' "$count" "$(find "$peer_tree" -type d | wc -l)" \
    "$(find "$peer_tree" -type l | wc -l)" "$(($(kilobytes "$peer_tree") / 1024))"
  [ "$count" -ge 25000 ] || echo "(fewer than the 25,000 files that the comparison is meant for)"
  # Hard linked files are left out: written through one name, a copy-on-write tree changes only that name.
  (cd "$peer_tree" && find . -type f -links 1 -perm -u+w ! -name '*
*' | LC_ALL=C sort) >"$work/all-files"
  for sample in 1 2; do
    shuf --random-source=<(yes "seed $sample") -n $((count / 100)) "$work/all-files" >"$work/sample-$sample"
  done
}

prepare_podman() {
  use podman || return 0
  if ! run_step podman-first "$base_tar" >"$work/podman.log" 2>&1; then
    missing+=("podman ($(tail -n 1 "$work/podman.log"))")
    present=${present/ podman / }
  fi
}

# first_or_later TAG: the command with which each peer commits, as name=COMMAND.
commits() {
  local tag=$1
  if use ostree; then echo "ostree=ostree --repo=$work/ostree commit --branch=tree --subject=$tag --owner-uid=0 --owner-gid=0 --tree=dir=$peer_tree"; fi
  if use restic; then echo "restic=restic --quiet --repo $work/restic backup --tag $tag $peer_tree"; fi
  if use borg; then echo "borg=borg create $work/borg::$tag $peer_tree"; fi
  if use casync; then echo "casync=casync --without=privileged --store=$work/casync/store make $work/casync/$tag.caidx $peer_tree"; fi
}

first_commit() {
  local list=("karapace=$karapace commit bench --message first" --prepare "karapace=$(step new-environment)")
  local command
  while IFS= read -r command; do
    list+=("$command" --prepare "${command%%=*}=$(step "new-${command%%=*}")")
  done < <(commits first)
  if use podman; then
    list+=("podman-commit=$podman commit --quiet first karapace-bench-first"
           --prepare "podman-commit=$(step podman-forget karapace-bench-first)")
  fi
  list+=("cp-a=cp -a $peer_tree $work/copy" --prepare "cp-a=$(step remove "$work/copy")"
         "hash_files=$programs/hash_files $peer_tree"
         "hash-and-link=$programs/hash_files --link $work/links $peer_tree"
         --prepare "hash-and-link=$(step remove "$work/links")")
  measure "first commit" "$first_runs" 1 "${list[@]}"
  "$karapace" snapshots bench --json | sed -n 's/.*"id": "\([^"]*\)".*/\1/p' | head -n 1 >"$work/first"
  run_step remove "$work/copy"
  run_step remove "$work/links"
}

repositories() {
  printf 'karapace\t%s\n' "$(kilobytes "$KARAPACE_STORE")"
  for peer in ostree restic borg casync; do
    if use $peer; then printf '%s\t%s\n' $peer "$(kilobytes "$work/$peer")"; fi
  done
  if use podman; then printf 'podman\t%s\n' "$(podman unshare du -sk "$work/podman/root" | cut -f 1)"; fi
}

# second_commit SAMPLE RUNS WARMUP FIRST-ROUND TITLE
second_commit() {
  local list_of_files=$work/sample-$1
  local list=("karapace=$karapace commit bench --message %r"
              --prepare "karapace=$(step change-karapace %r "$list_of_files")")
  local command changed=
  while IFS= read -r command; do
    list+=("$command")
    # The peers read one tree; who comes first changes it.
    [ -n "$changed" ] || list+=(--prepare "${command%%=*}=$(step change-peer %r "$list_of_files")")
    changed=yes
  done < <(commits %r)
  if use podman; then
    list+=("podman-commit=$podman commit --quiet second karapace-bench-second"
           --prepare "podman-commit=$(step podman-forget karapace-bench-second)"
           --prepare "podman-commit=$(step change-podman %r "$list_of_files")")
  fi
  measure "$5" "$2" "$3" --first "$4" "${list[@]}"
}

verify() {
  local list=("karapace=$karapace verify-store" "hash_files=$programs/hash_files $KARAPACE_STORE/store/objects")
  if use ostree; then list+=("ostree=ostree --repo=$work/ostree fsck --quiet"); fi
  if use restic; then list+=("restic=restic --quiet --repo $work/restic check --read-data"); fi
  if use borg; then list+=("borg=borg check --verify-data $work/borg"); fi
  measure "verify" "$runs" 1 "${list[@]}"
}

restore() {
  local out=$work/out
  mkdir -p "$out"
  local list=("karapace=$karapace restore bench $(cat "$work/first")" --prepare "karapace=$(step restore second)"
              "karapace-unarchive=$karapace unarchive bench" --prepare "karapace-unarchive=$(step archive)"
              "cp-al=cp -al $peer_tree $out/cp-al" --prepare "cp-al=$(step remove "$out/cp-al")"
              "cp-a=cp -a $peer_tree $out/cp-a" --prepare "cp-a=$(step remove "$out/cp-a")")
  if use podman; then
    list+=("podman-create=$podman create --name third --cgroups=disabled --network=none karapace-bench-first /bin/true"
           --prepare "podman-create=$(step podman-remove third)")
  fi
  if use ostree; then
    list+=("ostree=ostree --repo=$work/ostree checkout --user-mode --require-hardlinks tree $out/ostree"
           --prepare "ostree=$(step remove "$out/ostree")")
  fi
  if use restic; then
    list+=("restic=restic --quiet --repo $work/restic restore latest --tag first --target $out/restic"
           --prepare "restic=$(step remove "$out/restic")")
  fi
  if use borg; then
    list+=("borg=env -C $out/borg borg extract $work/borg::first" --prepare "borg=$(step empty "$out/borg")")
  fi
  if use casync; then
    list+=("casync=casync --without=privileged --store=$work/casync/store extract $work/casync/first.caidx $out/casync"
           --prepare "casync=$(step remove "$out/casync")")
  fi
  measure "restore" "$runs" 1 "${list[@]}"
}

summary() {
  printf '\n== summary: median ms (times of karapace; for restore: of karapace restore)\n'
  awk -F '\t' '
    { if (!($1 in seen)) { seen[$1] = 1; titles[++columns] = $1 }
      if (!($2 in row)) { row[$2] = 1; names[++rows] = $2 }
      value[$1, $2] = $3 }
    END {
      printf "%-20s", ""
      for (c = 1; c <= columns; c++) printf " %22s", titles[c]
      print ""
      for (r = 1; r <= rows; r++) {
        printf "%-20s", names[r]
        for (c = 1; c <= columns; c++) {
          v = value[titles[c], names[r]]
          if (v == "") printf " %22s", "-"
          else printf " %12.1f (%6.2f)", v, v / value[titles[c], "karapace"]
        }
        print ""
      }
    }' "$record"
}

goals() {
  printf '\n== goals\n'
  awk -F '\t' -v files="$count" -v stores='ostree restic borg casync podman-commit' '
    function goal(what, seen, unit, limit) {
      printf "%-58s %9.2f %-4s goal %7.2f   %s\n", what, seen, unit, limit, seen <= limit ? "met" : "missed"
    }
    { value[$1, $2] = $3; if ($2 ~ /^karapace/ && $6 > peak) peak = $6 }
    END {
      first = value["first commit", "karapace"]
      goal("first commit", first, "ms", 700)
      n = split(stores, name, " ")
      for (i = 1; i <= n; i++) {
        v = value["first commit", name[i]]
        if (v != "" && (best == "" || v + 0 < best + 0)) best = v
      }
      if (best != "") goal("first commit, part of the best other store", first / best, "x", 1 / 8)
      for (s = 1; s <= 2; s++) {
        t = "1 % changed, sample " s
        goal("commit, " t, value[t, "karapace"], "ms", 20)
        if (value[t, "podman-commit"] != "")
          goal("commit, " t ", part of podman commit", value[t, "karapace"] / value[t, "podman-commit"], "x", 1 / 3)
      }
      goal("restore, tree present", value["restore", "karapace"], "ms", 5)
      goal("restore, objects only, times cp -al", value["restore", "karapace-unarchive"] / value["restore", "cp-al"], "x", 1.2)
      goal("verify, times hashing the same bytes", value["verify", "karapace"] / value["verify", "hash_files"], "x", 1.3)
      goal("peak memory of all of these", peak / 1024, "MiB", 64 + files * 200 / 1048576)
    }' "$record"
}

find_peers
prepare_tree
make_environments
base_kilobytes=$(kilobytes "$KARAPACE_STORE")
prepare_podman
podman_before=$(if use podman; then podman unshare du -sk "$work/podman/root" | cut -f 1; fi)
first_commit
repositories >"$work/disk-first"
verify
second_commit 1 1 0 1 "disk use"
sed -i '/^disk use\t/d' "$record"
repositories >"$work/disk-second"
"$karapace" snapshots bench --json | sed -n 's/.*"id": "\([^"]*\)".*/\1/p' | tail -n 1 >"$work/second"
tree_kilobytes=$(kilobytes "$peer_tree")
for sample in 1 2; do
  printf '\nsample %s: %s files, %s KiB' "$sample" "$(wc -l <"$work/sample-$sample")" \
    "$(cd "$peer_tree" && xargs -d '\n' stat -c %s <"$work/sample-$sample" | awk '{ s += $1 } END { printf "%d", s / 1024 }')"
  second_commit $sample "$runs" 1 $((sample * 1000)) "1 % changed, sample $sample"
done
restore

printf '\n== disk use in MiB: what the commits take beside the tree itself (%s MiB; negative: files that the base has, too)\n' $((tree_kilobytes / 1024))
printf '%-20s %16s %16s\n' '' 'first commit' '1 % changed'
paste "$work/disk-first" "$work/disk-second" |
  awk -v ours=$((base_kilobytes + tree_kilobytes)) -v podman="${podman_before:-0}" '
    { first = $2; if ($1 == "karapace") first -= ours; if ($1 == "podman") first -= podman
      printf "%-20s %16.1f %16.1f\n", $1, first / 1024, ($4 - $2) / 1024 }'
summary
goals
