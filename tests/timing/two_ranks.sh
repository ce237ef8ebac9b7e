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
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
run() { # FOLDER THREADS BATCH LAUNCHER… -- ARGUMENTS…
  local out=$folder/$1 threads=$2 batch=$3 launcher=()
  shift 3
  while [ "$1" != -- ]; do launcher+=("$1"); shift; done
  shift
  rm -rf "$out"
  cat > "$folder/run.yaml" <<Y
base: experiments/presets/mini.yaml
batch_size: $batch
samples: $((batch * STEPS))
warmup_samples: 0
eval.sets: []
eval.points: 0
checkpoint.every_seconds: 1000000
precision: fp32
threads: $threads
Y
  "${launcher[@]}" "$FLIP" train --config "$folder/run.yaml" --no-progress --out "$out" "$@" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
}
# The first two steps choose kernels and fill caches.
values() { grep '"event":"step"' "$folder/$1/events.jsonl" | tail -n +3 | grep -oE "\"$2\":[^,}]*" | cut -d: -f2 | sort -g; }
median() { values "$1" "$2" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
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
