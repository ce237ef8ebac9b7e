#!/usr/bin/env bash
# By hand: how much faster the data commands are on two threads than on one (docs/benchmarks.md).
#   tests/timing/two_cores.sh [REPEATS [NAME…]]     FLIP=build/bin/flip DATA=data
# Each command runs alternately on one thread, on two, and twice at once on one thread; prints medians of
# wall seconds, the speed-up of two threads, the CPU seconds that the command took on two threads per
# second of wall time, and what two programs at once do per second by what one does: as much as two of
# these cores can do, since they share memory, caches and power. On a machine that others use at the same
# time the ratios come out too low. TMPDIR=/dev/shm leaves the disk out.
set -euo pipefail
cd "$(dirname "$0")/../.."
FLIP=$(realpath "${FLIP:-build/bin/flip}") DATA=$(realpath "${DATA:-data}")
repeats=${1:-5}
[ $# = 0 ] || shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
. tests/timing/two_cores_commands.sh
cd "$scratch"
prepare > /dev/null
mkdir beside
ln -s "$scratch"/* beside/
rm beside/beside

once() { # NAME THREADS: "wall cpu"
  rm -rf out
  export OMP_NUM_THREADS=$2
  TIMEFORMAT='%R %U %S'
  { time "$1" "$2" > log.txt 2>&1; } 2>&1 | awk '{ print $1, $2 + $3 }'
  [ "${PIPESTATUS[0]}" = 0 ] || { cat log.txt >&2; exit 1; }
}
both() { # NAME: on one thread, here and in the other folder
  local other
  (cd beside && rm -rf out && "$1" 1 > log.txt 2>&1) & other=$!
  "$1" 1 > log.txt 2>&1 && wait $other
}
twice() { # NAME: "wall"
  rm -rf out
  export OMP_NUM_THREADS=1
  TIMEFORMAT=%R
  { time both "$1"; } 2>&1
}

printf '%-22s %10s %10s %7s %7s %12s\n' command '1 thread' '2 threads' ratio 'CPU/s' 'two programs'
for name in ${*:-$names}; do
  : > 1.txt; : > 2.txt; : > both.txt
  for ((i = 0; i < repeats; i++)); do
    for threads in 1 2; do once "$name" $threads >> $threads.txt; done
    twice "$name" >> both.txt || { cat log.txt beside/log.txt >&2; exit 1; }
  done
  one=$(median < 1.txt) two=$(median < 2.txt) both=$(median < both.txt)
  share=$(awk '{ print $2 / $1 }' 2.txt | median)
  awk -v n="$name" -v a="$one" -v b="$two" -v s="$share" -v t="$both" \
    'BEGIN { printf "%-22s %8.2f s %8.2f s %7.2f %7.2f %12.2f\n", n, a, b, a / b, s, 2 * a / t }'
done
