#!/usr/bin/env bash
# By hand: how much of each data command's work is serial, and the speed-up that this leaves possible on
# two cores (docs/benchmarks.md). Works on a machine that others use: it counts processor time of
# threads, not wall time.
#   tests/timing/serial_share.sh [REPEATS [NAME…]]     FLIP=build/bin/flip DATA=data
# Of medians: processor time on one thread, on two threads, and of the busier of the two, which an idle
# machine needs at least. limit: time on one thread by that of the busier of two. serial: the share that
# Amdahl's law gives for this limit, 2 / limit - 1 (below 0: two threads took less time than one).
set -euo pipefail
cd "$(dirname "$0")/../.."
real=$(realpath "${FLIP:-build/bin/flip}") DATA=$(realpath "${DATA:-data}")
repeats=${1:-5}
[ $# = 0 ] || shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
. tests/timing/two_cores_commands.sh
FLIP=$real
measured=$scratch/flip
printf '#!/bin/sh\nexec python3 %s %s %s "$@"\n' "$PWD/tests/timing/thread_times.py" "$scratch/times" "$real" > "$measured"
chmod +x "$measured"
cd "$scratch"
prepare > /dev/null
FLIP=$measured
export GOMP_SPINCOUNT=0 # a thread that waits takes no time

printf '%-16s %10s %10s %10s %7s %7s\n' command '1 thread' '2 threads' busier limit serial
for name in ${*:-$names}; do
  for threads in 1 2; do
    : > times
    for ((i = 0; i < repeats; i++)); do
      rm -rf out
      OMP_NUM_THREADS=$threads "$name" $threads > log.txt 2>&1 || { cat log.txt >&2; exit 1; }
    done
    cp times $threads.txt
  done
  one=$(awk '{ print $2 }' 1.txt | median) two=$(awk '{ print $2 }' 2.txt | median)
  busier=$(awk '{ print $1 }' 2.txt | median)
  awk -v n="$name" -v a="$one" -v b="$two" -v m="$busier" \
    'BEGIN { printf "%-16s %8.3f s %8.3f s %8.3f s %7.2f %6.1f%%\n", n, a, b, m, a / m, 100 * (2 * m / a - 1) }'
done
