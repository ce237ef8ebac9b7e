#!/usr/bin/env bash
# Runs the table that pack.sh packed with this script, in one call of at most FLIP_TABLE_SECONDS (570),
# on a machine without an installation.
#   usage: run_table.sh OUT_FOLDER
#
# Cells are run one after another, and after every one the record so far is written to
# OUT_FOLDER/NAME.results.tar.gz: after a call that is cut, it has the finished cells. Also written:
# table.txt, the report; log.txt, the output of flipbench. Exits 0 if every cell finished, 1 if some
# failed, 130 if time ran out.
set -uo pipefail
[ $# = 1 ] || { echo "usage: run_table.sh OUT_FOLDER" >&2; exit 2; }
started=$SECONDS
mkdir -p "$1" && out=$(cd "$1" && pwd) || exit 2
cd "$(dirname "$0")" || exit 2
here=$PWD
mapfile -t words <words
machines=${LD_LIBRARY_PATH:-}
LD_LIBRARY_PATH=$here/lib:$machines
# cuDNN and cuBLASLt may come with a Python package rather than with the toolkit
for folder in $(LD_LIBRARY_PATH=$machines python3 -c 'import glob, site
print(" ".join(p for s in site.getsitepackages() for p in glob.glob(s + "/nvidia/*/lib")))' 2>/dev/null); do
  LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$folder
done
# without a home nothing is stored, and a deterministic run then takes the first algorithms, untimed
export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$here/cache}
export LD_LIBRARY_PATH FLIP_PLUGINS=${FLIP_PLUGINS:-$here/lib} FLIP=$here/bin/flip FLIPBENCH_DB=
results=$here/results
# The experiment's folder, with '@' as '-' in the archive's name: some transfers reject other characters.
name() { basename "$(find "$results" -maxdepth 2 -name experiment.json -printf '%h\n' 2>/dev/null | sed -n 1p)"; }
ended() { cat "$results"/*/*/attempts.jsonl 2>/dev/null | grep -c '"event":"attempt_end"'; }

# The run folders without weights and database, which db merge rebuilds; replaced atomically.
keep() {
  local table file
  table=$(name)
  [ -n "$table" ] || return 0
  file=${table/@/-}.results
  tar czf "$out/.new" --exclude=checkpoints --exclude='flipbench.db*' --exclude='*.html' --exclude=plots \
    --transform "s,^results,$file," -C "$here" results 2>/dev/null
  [ -s "$out/.new" ] && mv "$out/.new" "$out/$file.tar.gz"
}
child=''
trap 'keep' EXIT
trap '[ -z "$child" ] || kill -TERM "$child"' TERM INT

left=$((${FLIP_TABLE_SECONDS:-570} - 15 - (SECONDS - started))) # the rest is for stopping and for the report
timeout --signal=TERM --kill-after=10 "$left" "$here/bin/flipbench" run "${words[@]}" --turns 0 --no-progress \
  --results results >"$out/log.txt" 2>&1 &
child=$!
last=0
while kill -0 "$child" 2>/dev/null; do
  now=$(ended)
  [ "$now" = "$last" ] || keep
  last=$now
  sleep 1
done
wait "$child"
status=$?
child=''
[ $status != 124 ] && [ $status != 137 ] || status=130
tail -n 30 "$out/log.txt"
# by its name: with the profile and the changes that it was run with
timeout 10 "$here/bin/flipbench" report "$(name)" --results results >"$out/table.txt" 2>&1
keep
finished=$(cat "$results"/*/*/attempts.jsonl 2>/dev/null | grep '"event":"attempt_end"' | grep -c '"status":"finished"')
echo "$finished cells finished in $((SECONDS - started)) s; the record: $(ls "$out"/*.results.tar.gz 2>/dev/null || echo none)"
[ $status != 130 ] || echo "time ran out: the other cells are not finished (table.txt says which)"
exit $status
