#!/usr/bin/env bash
# Run by hand: the time until flip train has completed its first step, by part (docs/benchmarks.md).
#   tests/timing/start.sh [REPEATS [CONFIG [OPTIONS of flip train…]]]     FLIP=build/bin/flip
# Prints the medians, in seconds: from the start of the process to the end of the first step, and the
# parts of the `start` event.
set -euo pipefail
cd "$(dirname "$0")/../.."
FLIP=$(realpath "${FLIP:-build/bin/flip}")
repeats=${1:-5} config=${2:-experiments/presets/mini.yaml}
shift $(($# < 2 ? $# : 2))
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for ((i = 0; i < repeats; i++)); do
  rm -rf "$scratch/run"
  date +%s.%N >> "$scratch/began"
  "$FLIP" train -c "$config" -s samples=8 -s batch_size=8 -s warmup_samples=8 -s 'eval.sets=[]' "$@" \
    --no-progress --out "$scratch/run" > "$scratch/log" 2>&1 || { cat "$scratch/log" >&2; exit 1; }
  cp "$scratch/run/events.jsonl" "$scratch/$i.jsonl"
done
python3 - "$scratch" << 'P'
import datetime, json, statistics, sys
runs = []
for i, began in enumerate(open(f'{sys.argv[1]}/began')):
    events = [json.loads(line) for line in open(f'{sys.argv[1]}/{i}.jsonl')]
    start, step = (next(e for e in events if e['event'] == kind) for kind in ('start', 'step'))
    done = datetime.datetime.fromisoformat(step['time'].replace('Z', '+00:00')).timestamp()
    runs.append({'to the end of the first step': done - float(began), **start['start_seconds'], 'step': step['seconds']})
for name in runs[0]:
    print(f'{name:30} {statistics.median(r[name] for r in runs):7.3f} s')
P
