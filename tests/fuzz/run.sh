#!/usr/bin/env bash
# run.sh SECONDS [NAME…]: builds the fuzz preset (clang) and fuzzes each target, or those named, for
# so long, from its seeds and from what earlier runs came upon (build/fuzz/corpus). What breaks is
# kept in build/fuzz/found; when it is mended, put it into tests/fuzz/found/NAME.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:?usage: tests/fuzz/run.sh SECONDS [NAME…]}
shift
build=$PWD/build/fuzz
[ -f "$build/build.ninja" ] || cmake --preset fuzz
cmake --build "$build" --target fuzz_targets -- --quiet
[ $# -gt 0 ] || set -- $(cd "$build/tests" && ls fuzz_*.seeds | sed 's/^fuzz_//; s/\.seeds$//')
[ $# -gt 0 ] || { echo "no targets with seeds in $build/tests" >&2; exit 1; }
# words that the readers know
grep -hoE '"[A-Za-z_.]{3,40}"' core/config/settings_table.h core/read/source*.c core/convert/*.c harness/experiment/format.c \
  harness/store/ingest.c | sort -u > "$build/words.dict"
printf '"%s"\n' 1e300 -1 nan 9223372036854775807 -9223372036854775808 4294967297 >> "$build/words.dict" # edges of numbers
broken=0
for name in "$@"; do
  corpus=$build/corpus/$name
  mkdir -p "$corpus" "$build/found"
  while read -r seed; do
    [ -z "$seed" ] || cp "$seed" "$corpus/seed-$(basename "$(dirname "$seed")")-$(basename "$seed")"
  done < "$build/tests/fuzz_$name.seeds"
  echo "== $name, $seconds s"
  # a report of ten seconds' work or 2 GiB is one of a hang or a flood
  "$build/tests/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -dict="$build/words.dict" -artifact_prefix="$build/found/$name-" -verbosity="${VERBOSITY:-0}" "$corpus" 2>"$build/found/$name.log" ||
    { broken=1; grep -E 'ERROR|runtime error|broken promise|SUMMARY|Test unit' "$build/found/$name.log" || true; }
  grep -E 'number_of_executed_units|new_units_added' "$build/found/$name.log" || true
done
exit $broken
