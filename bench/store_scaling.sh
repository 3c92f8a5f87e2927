# shellcheck shell=bash disable=SC2017,SC2154
# SPDX-License-Identifier: Apache-2.0
# Part of bench/store: how time and memory of the store grow.

reserve=$((10 * 1024 * 1024)) # KiB that stay free on the disk

# room KILOBYTES WHAT: whether there is room for it, and a word if not
room() {
  local available
  available=$(free_kilobytes)
  [ $((available - $1)) -ge "$reserve" ] && return
  printf '\n== %s: left out, it needs %s MiB and %s MiB stay free, of %s MiB\n' "$2" $(($1 / 1024)) \
    $((reserve / 1024)) $((available / 1024))
  missing+=("$2 (no room on the disk)")
  return 1
}

fresh_environment() {
  "$karapace" destroy bench --yes >/dev/null 2>&1 || true # gone already behind the last gc that was measured
  "$karapace" gc >/dev/null 2>&1
  (cd "$work/bench" && "$karapace" build --name bench >/dev/null 2>&1)
}

inside() { "$karapace" exec --root bench -- "$@"; }

# shellcheck disable=SC2016
make_files() { # N
  inside sh -c '
    i=0
    while [ $i -lt "$1" ]; do
      if [ $((i % 1000)) = 0 ]; then directory=/srv/many/package-$((i / 1000))/some/directory; mkdir -p $directory; fi
      echo "content $i" >$directory/file-number-$i.txt
      i=$((i + 1))
    done' sh "$1"
  sync -f "$work"
}

# shellcheck disable=SC2016
change_files() { # N STEP TEXT: every STEPth of N files
  inside sh -c '
    i=0
    while [ $i -lt "$1" ]; do
      echo "$3" >>/srv/many/package-$((i / 1000))/some/directory/file-number-$i.txt
      i=$((i + $2))
    done' sh "$1" "$2" "$3"
  sync -f "$work"
}

snapshot() { "$karapace" snapshots bench --json | sed -n 's/.*"id": "\([^"]*\)".*/\1/p' | "$@"; }
remember() { snapshot head -n 1 >"$work/first"; snapshot tail -n 1 >"$work/second"; }

# operations NAME RUNS CHANGE-COMMAND...: every operation on what is in the upper directory of bench
operations() {
  local name=$1 count=$2
  shift 2
  measure "$name: commit" 1 0 "commit=$karapace commit bench"
  measure "$name: export" 1 0 "export=$karapace export bench --output $work/export.tar"
  rm -f "$work/export.tar"
  "$@"
  measure "$name: diff" "$count" 0 "diff=$karapace diff bench"
  measure "$name: second commit" 1 0 "second-commit=$karapace commit bench"
  remember
  measure "$name: restore" "$count" 0 "restore=$karapace restore bench $(cat "$work/first")" \
    --prepare "restore=$(step restore second)"
  measure "$name: verify" "$count" 0 "verify-store=$karapace verify-store"
  measure "$name: archive" 1 0 "archive=$karapace archive bench"
  measure "$name: unarchive" 1 0 "unarchive=$karapace unarchive bench"
  measure "$name: inspect" 1 0 "inspect=$karapace inspect bench"
  measure "$name: gc" 1 0 "gc=$karapace gc" --prepare "gc=$karapace destroy bench --yes"
}

scale_files() {
  local n
  for n in $files; do
    room $((n * 7)) "$n files" || continue
    fresh_environment
    make_files "$n"
    operations "$n files" $((n > 100000 ? 1 : 5)) change_files "$n" 100 changed
  done
}

append_to_big() { inside sh -c 'echo more >>/srv/big'; sync -f "$work"; }

scale_big_file() {
  local bytes
  bytes=$(numfmt --from=iec "$big_file")
  room $((bytes / 1024 * 2)) "a file of $big_file" || return 0
  fresh_environment
  head -c "$bytes" /dev/urandom | inside sh -c 'cat >/srv/big'
  sync -f "$work"
  operations "$big_file file" 1 append_to_big
}

# commits_in_a_row COUNT FIRST TITLE
commits_in_a_row() {
  measure "$3" "$1" 0 --first "$2" "commit=$karapace commit bench --message %r" \
    --prepare "commit=$karapace exec --root bench -- cp /etc/hostname /srv/file-%r" \
    --prepare "commit=$(step nothing)"
}

one_back() { # TITLE: what else is done with as many snapshots as there are
  snapshot tail -n 1 >"$work/second"
  snapshot tail -n 2 | head -n 1 >"$work/first"
  measure "$1" 10 1 "restore=$karapace restore bench $(cat "$work/first")" --prepare "restore=$(step restore second)" \
    "exec=$karapace exec bench -- true" "snapshots=$karapace snapshots bench"
  run_step restore second >/dev/null
}

scale_snapshots() {
  fresh_environment
  commits_in_a_row 10 1 "snapshots: first 10"
  one_back "snapshots: at 10"
  commits_in_a_row $((snapshots - 20)) 11 "snapshots: between"
  commits_in_a_row 10 $((snapshots - 9)) "snapshots: last 10"
  one_back "snapshots: at $snapshots"
  awk -F '\t' '
    $1 == "snapshots: first 10" || $1 == "snapshots: at 10" { first[$2] = $3 }
    $1 ~ /^snapshots: (last|at)/ { last[$2] = $3 }
    END {
      print ""
      for (name in last)
        printf "%-10s last / first %5.2f   goal 1.50   %s\n", name, last[name] / first[name],
          last[name] <= 1.5 * first[name] ? "met" : "missed"
    }' "$record"
}

field() { "$karapace" inspect "$1" --json | tr -d ' \n' | sed -n "s/.*\"$2\":\\[\\([^]]*\\)\\].*/\\1/p" | tr -d '"' | tr ',' ' '; }

scale_ten() {
  local packages=(hello tree jq bc rsync zip nano htop less file) i one=0 layer differences=0 built=0
  local -x KARAPACE_STORE=$work/ten
  printf '\n== ten environments that differ in one package each\n'
  for i in "${!packages[@]}"; do
    mkdir -p "$work/ten-$i"
    printf 'manifest_version = 1\nbase.image = "debian/12"\nsystem.packages = ["%s"]\n' "${packages[$i]}" \
      >"$work/ten-$i/karapace.toml"
    if ! (cd "$work/ten-$i" && "$karapace" build --name "ten-$i" >"$work/ten.log" 2>&1); then
      missing+=("ten environments (${packages[$i]}: $(tail -n 1 "$work/ten.log"))")
      break
    fi
    built=$((built + 1))
    [ "$i" != 0 ] || one=$(kilobytes "$KARAPACE_STORE")
    for layer in $(field "ten-$i" dependency_layers); do
      [ "$i" = 0 ] || differences=$((differences + $(kilobytes "$KARAPACE_STORE/trees/$layer")))
    done
  done
  if [ "$built" = ${#packages[@]} ]; then
    awk -v one="$one" -v ten="$(kilobytes "$KARAPACE_STORE")" -v differences="$differences" 'BEGIN {
      printf "one: %.1f MiB, ten: %.1f MiB, differences: %.1f MiB\n", one / 1024, ten / 1024, differences / 1024
      seen = (ten - differences) / one
      printf "(ten - differences) / one: %.3f   goal 1.150   %s\n", seen, seen <= 1.15 ? "met" : "missed" }'
  fi
  for i in "${!packages[@]}"; do "$karapace" destroy "ten-$i" --yes >/dev/null 2>&1 || true; done
  "$karapace" gc >/dev/null 2>&1 || true
}

opens() { # what diff opens, counted
  strace -f -qq -e trace=open,openat,openat2 -o "$work/strace" "$karapace" diff bench >/dev/null
  grep -c 'open' "$work/strace"
}

scale_diff() {
  local n
  for n in 1000 100000; do
    fresh_environment
    make_files "$n"
    "$karapace" commit bench >/dev/null 2>&1
    change_files 1000 100 changed
    measure "diff: 10 changes, $n files below" 21 3 "diff=$karapace diff bench"
    if have strace; then printf 'files and directories opened by all of its processes: %s\n' "$(opens)"; fi
  done
}

table() {
  printf '\n== summary: seconds (median) / MiB (largest process)\n'
  awk -F '\t' '
    $1 ~ /file/ && $1 !~ /^(diff|snapshots):/ {
      split($1, part, ": ")
      if (!(part[1] in seen)) { seen[part[1]] = 1; rows[++count] = part[1] }
      if (!($2 in column)) { column[$2] = 1; names[++columns] = $2 }
      seconds[part[1], $2] = $3 / 1000; mebibytes[part[1], $2] = $6 / 1024
    }
    END {
      printf "%-16s", ""
      for (c = 1; c <= columns; c++) printf " %15s", names[c]
      print ""
      for (r = 1; r <= count; r++) {
        printf "%-16s", rows[r]
        for (c = 1; c <= columns; c++) printf " %8.3f /%5.1f", seconds[rows[r], names[c]], mebibytes[rows[r], names[c]]
        print ""
        if (rows[r] ~ / files$/) { if (low == "") low = rows[r]; high = rows[r] }
      }
      if (high == low) exit
      printf "%-16s", "bytes per file"
      for (c = 1; c <= columns; c++)
        printf " %15.0f", (mebibytes[high, names[c]] - mebibytes[low, names[c]]) * 1048576 / (high + 0 - (low + 0))
      print "   goal 200"
    }' "$record"
}

make_environments
touch "$record"
for part in $parts; do
  case $part in
    files) scale_files ;;
    big) scale_big_file ;;
    snapshots) scale_snapshots ;;
    ten) scale_ten ;;
    diff) scale_diff ;;
    *) echo "bench/store: no part '$part'" >&2; exit 2 ;;
  esac
done
table
