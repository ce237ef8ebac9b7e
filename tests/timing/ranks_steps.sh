# Shared by two_ranks.sh and predicted_ranks.sh: short runs of the mini preset in $folder, and their steps.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# train NAME THREADS BATCH STEPS LAUNCHER… -- ARGUMENTS…
train() {
  local out=$folder/$1 threads=$2 batch=$3 steps=$4 launcher=()
  shift 4
  while [ "$1" != -- ]; do launcher+=("$1"); shift; done
  shift
  rm -rf "$out"
  cat > "$folder/run.yaml" <<Y
base: $PWD/experiments/presets/mini.yaml
batch_size: $batch
samples: $((batch * steps))
warmup_samples: 0
eval.sets: []
eval.points: 0
checkpoint.every_seconds: 1000000
precision: fp32
threads: $threads
Y
  "${launcher[@]}" "$FLIP" train --config "$folder/run.yaml" --no-progress --out "$out" "$@" 2> "$folder/log" || { cat "$folder/log" >&2; exit 1; }
}
# The first two steps choose kernels and fill caches.
values() { grep '"event":"step"' "$folder/$1/events.jsonl" | tail -n +3 | grep -oE "\"$2\":[^,}]*" | cut -d: -f2 | sort -g; }
median() { values "$1" "$2" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
