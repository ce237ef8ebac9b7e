# A real slurmctld with two slurmd, each in its own network and host-name namespace: a cell that requests
# two nodes is one job on both, srun starts a rank on each, and the losses are those of one rank. Then the
# rank of the second node is killed: it is named with its host, and the retry needs only one node.
. "$SOURCE/tests/support/ranks.sh"
. "$SOURCE/tests/support/namespaces.sh"
. "$SOURCE/tests/support/slurm.sh"
trap 'stop_slurm; stop_nodes' EXIT
start_nodes || exit 77
slurm_nodes=(nodea=10.77.0.1 nodeb=10.77.0.2)
on_node() { local node=$1; shift; "on_node_${node#node}" "$@"; }
start_slurm || exit 77
on_node_a srun --mpi=list 2>&1 | grep -q pmix || { echo 'skipped: this Slurm has no PMIx plugin'; exit 77; }
export OMPI_MCA_btl=self,tcp
cat > two.yaml <<'Y'
name: two
base: run.yaml
settings: {samples: 960}
requires: {ranks: 2, nodes: 2}
limits: {memory: 100MiB, retries: 1, retry_wait: 100ms, fewest_ranks: 1}
report: {columns: [final_loss, nodes], plots: []}
Y
folder() { echo results/two/two-*; }

on_node_a "$FLIPBENCH" submit two.yaml --slurm > out.txt 2> err.txt || { cat out.txt err.txt results/two/slurm/*.out "$(folder)"/log.txt; fail 'submit'; }
expect_answer "SELECT status, ranks, nodes FROM attempt" 'finished|2|2'
expect_answer "SELECT json_extract(value, '\$.rank'), json_extract(value, '\$.host') FROM attempt, json_each(rank_records)" '0|nodea
1|nodeb'
bench show 1 | grep -q '2 ranks: nodea (rank 0), nodeb (rank 1)' || fail 'show names no nodes'
"$FLIP" train --config "$(folder)"/config.yaml --out alone --no-progress || fail 'alone'
near "$(folder)" alone || { paste <(losses "$(folder)") <(losses alone); fail 'the losses on two nodes differ'; }

# one of them is lost
on_node_a "$FLIPBENCH" submit two.yaml --slurm --results lost -s samples=48k -s log_every=5 > out.txt 2> err.txt & follower=$!
folder() { echo lost/two/two-*; }
await 60 eval '[ -e "$(folder)"/events.jsonl ] && has_steps "$(folder)" 3' || { cat out.txt err.txt lost/two/slurm/*.out "$(folder)"/log.txt; fail 'no step in a minute'; }
await 20 eval '[ -n "$(ls "$(folder)"/checkpoints/*.safetensors 2>/dev/null)" ]' || fail 'no checkpoint'
victim=$(rank_pid "$(folder)" 1)
kill -KILL "$victim"
wait $follower || { cat out.txt err.txt "$(folder)"/log.txt; fail 'the retry'; }
grep -q "\"kind\":\"rank\",\"message\":\"rank 1 of 2 (host nodeb, process $victim) has ended: killed by signal 9" "$(folder)"/attempts.jsonl ||
  { cat "$(folder)"/attempts.jsonl "$(folder)"/log.txt; fail 'the lost rank is not named with its host'; }
DB=lost/flipbench.db expect_answer "SELECT group_concat(coalesce(ranks, 1), ' '), group_concat(coalesce(nodes, 1), ' ') FROM attempt" '2 1|2 1'
DB=lost/flipbench.db expect_answer "SELECT status, (SELECT sum(steps) FROM step) FROM run" 'finished|2000'
