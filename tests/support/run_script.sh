#!/usr/bin/env bash
# Runs one test script in its own folder, which is removed when it passes.
set -euo pipefail
story=$1
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/flip-story.XXXXXX")
export SCRATCH
export GOMP_SPINCOUNT=1000 # tests share the cores: a waiting thread must not burn one
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
export -f fail expect_status expect_line

got=0
bash -euo pipefail "$story" || got=$?
case $got in 0 | 77) rm -rf "$SCRATCH" ;; esac # 77: it cannot run here, and has said why
exit $got
