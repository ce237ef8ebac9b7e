#!/bin/bash
# By hand, on two idle cores: the steps that 'flip plan --ranks' predicts for 1, 2 and 4 CPU ranks of one
# thread, against steps that were measured (docs/clusters.md). The rate of one rank, from which it predicts,
# is measured in the same round.
#
#   FLIP=build/bin/flip ROUNDS=5 BATCH=256 STEPS=12 LINK=5 tests/timing/predicted_ranks.sh [--set KEY=VALUE]…
#
# Four ranks on two cores compute in twice the time that is predicted for four cores. LINK: GB/s.
set -eu
FLIP=${FLIP:-build/bin/flip} ROUNDS=${ROUNDS:-5} BATCH=${BATCH:-256} STEPS=${STEPS:-12} LINK=${LINK:-5}
. tests/timing/ranks_steps.sh
run() { train "$1" 1 "$BATCH" "$STEPS" "${@:2}"; } # RANKS LAUNCHER… -- ARGUMENTS…
for ((round = 1; round <= ROUNDS; round++)); do
  run 1 env -- "$@"
  run 2 mpirun -np 2 --bind-to core -- "$@"
  run 4 mpirun -np 4 --oversubscribe -- "$@"
  "$FLIP" plan --config "$folder/run.yaml" "$@" --ranks 1,2,4 --rate "$folder/1/events.jsonl" --link "$LINK" --latency 2 --json > "$folder/plan.json"
  python3 - "$folder/plan.json" "$(median 1 seconds)" "$(median 2 seconds)" "$(median 4 seconds)" "$round" <<'P'
import json, sys
rows = json.load(open(sys.argv[1]))["prediction"]["rows"]
print(f"round {sys.argv[5]}, seconds per step:", end="")
for row, measured in zip(rows, map(float, sys.argv[2:5])):
    compute = row["encode_seconds"] + row["loss_seconds"] + row["update_seconds"]
    predicted = compute * max(1, row["ranks"] / 2) + row["exposed_seconds"]
    print(f"  {row['ranks']} ranks: predicted {predicted:.3f} measured {measured:.3f} ratio {measured / predicted:.3f}", end="")
print()
P
done
