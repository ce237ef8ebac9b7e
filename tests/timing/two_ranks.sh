#!/bin/bash
# Two ranks of one thread against one process of two threads, on the mini preset, alternating: how much
# longer a step takes. Wall times need two idle cores; the processor time that the split costs, without
# the exchange, can be measured on a busy machine too.
#
#   FLIP=build/bin/flip PAIRS=5 BATCH=256 STEPS=12 tests/timing/two_ranks.sh [--set KEY=VALUE]…
#
# seconds: of a step; exchange: rank 0's comm_seconds. half: one rank's computation, one process of
# one thread on half of the batch.
set -eu
FLIP=${FLIP:-build/bin/flip} PAIRS=${PAIRS:-5} BATCH=${BATCH:-256} STEPS=${STEPS:-12}
. tests/timing/ranks_steps.sh
run() { train "$1" "$2" "$3" "$STEPS" "${@:4}"; } # NAME THREADS BATCH LAUNCHER… -- ARGUMENTS…
least() { values "$1" "$2" | sed -n 1p; }
by() { awk "BEGIN { printf \"%.3f\", $1 / $2 }"; }
for pair in $(seq "$PAIRS"); do
  run one 2 "$BATCH" env -- "$@"
  run two 1 "$BATCH" mpirun -np 2 --bind-to core -- "$@"
  run half 1 $((BATCH / 2)) env -- "$@"
  echo "pair $pair: seconds $(median one seconds) and $(median two seconds), ratio $(by "$(median two seconds)" "$(median one seconds)") (least $(by "$(least two seconds)" "$(least one seconds)"))" \
    "exchange $(median two comm_seconds) (least $(least two comm_seconds))" \
    "processor time of one whole $(median one cpu_seconds), of a half $(median half cpu_seconds), of two by one $(by "2 * $(median half cpu_seconds)" "$(median one cpu_seconds)")" \
    "load $(cut -d' ' -f1 /proc/loadavg)"
done
