#!/usr/bin/env bash
# Runs one test script in its own folder, which is removed when it passes.
set -euo pipefail
story=$1
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/flip-story.XXXXXX")
export SCRATCH
export GOMP_SPINCOUNT=1000 # tests share the cores: a waiting thread must not burn one
export LC_ALL=C.UTF-8 # printf and sort of the scripts read and write numbers with a point
unset FLIPBENCH_DB FLIPBENCH_PLOTS FLIP_PLUGINS # the user's own; a script sets those that it needs
cd "$SCRATCH"

# Helpers for test scripts.
fail() { echo "FAILED: $*" >&2; exit 1; }
# expect_status N command…: runs it, keeps stdout in out.txt and stderr in err.txt.
expect_status() {
  local wanted=$1 got=0
  shift
  "$@" >out.txt 2>err.txt || got=$?
  [ "$got" = "$wanted" ] || { cat out.txt err.txt >&2; fail "'$*' ended with $got, not $wanted"; }
}
expect_line() { grep -qE -- "$2" "$1" || { cat "$1" >&2; fail "no line in $1 matches: $2"; }; }
# bytes FILE FIRST COUNT: no pipe into head, whose end would kill the writer before it.
bytes() { dd status=none iflag=skip_bytes,count_bytes bs=64K if="$1" skip="$2" count="$3"; }
# tensors FILE.safetensors: all after its header, which names settings, lists and times.
tensors() { tail -c +$((9 + $(od -An -tu8 -N8 "$1"))) "$1"; }
export -f fail expect_status expect_line bytes tensors

# A command that ends the script in silence is named.
got=0
bash -Eeuo pipefail -c 'trap '\''echo "FAILED: line $LINENO: $BASH_COMMAND" >&2'\'' ERR; . "$0"' "$story" || got=$?
case $got in 0 | 77) rm -rf "$SCRATCH" ;; esac # 77: it cannot run here, and has said why
exit $got
