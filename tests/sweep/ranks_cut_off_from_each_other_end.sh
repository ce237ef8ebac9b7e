# Two machines (network namespaces) train one cell, and their network fails: the ranks of both end
# within ten seconds, one message names the lost one, and the cell continues from its checkpoint on
# the remaining machine. Two such networks fail at the same time, in two ways.
. "$SOURCE/tests/support/ranks.sh"
. "$SOURCE/tests/support/namespaces.sh"
start_nodes || exit 77
stop_nodes
export OMPI_MCA_btl=self,tcp OMPI_MCA_orte_default_hostfile=$PWD/hosts
cat > cut.yaml <<'Y'
name: cut
base: run.yaml
settings: {samples: 96k, log_every: 5}
requires: {ranks: 2, nodes: 2}
limits: {retries: 2, retry_wait: 100ms, fewest_ranks: 1}
report: {columns: [final_loss, nodes], plots: []}
Y
# without a host file there is only one machine
(unset OMPI_MCA_orte_default_hostfile; bench run cut.yaml --no-progress > out.txt 2> err.txt) && fail 'two nodes on one machine'
grep -q "requires 2 nodes, and 'flipbench run' uses this machine" err.txt || { cat err.txt; fail 'the message names no remedy'; }

trainers() { pgrep -f "^$FLIP train .*--out $1" || true; }
fails() { # cut_cable or cut_one_way
  local how=$1 results=$1
  start_nodes || fail "$how: no namespaces"
  export OMPI_MCA_plm_rsh_agent=$agent
  on_node_a "$FLIPBENCH" run cut.yaml --no-progress --results "$results" > "$how.txt" 2>&1 & sweep=$!
  folder() { echo "$results"/cut/cut-*; }
  await 60 eval '[ -e "$(folder)"/events.jsonl ] && has_steps "$(folder)" 2' || { cat "$how.txt" "$(folder)"/log.txt; fail "$how: no step in a minute"; }
  await 20 eval '[ -n "$(ls "$(folder)"/checkpoints/*.safetensors 2>/dev/null)" ]' || fail "$how: no checkpoint"
  first=$(trainers "$(folder)")
  [ "$(echo "$first" | wc -w)" = 2 ] || fail "$how: not two ranks: $first"
  start=$SECONDS
  $how
  ended() { for pid in $first; do ! kill -0 "$pid" 2> /dev/null || return 1; done; }
  await 30 ended || true
  took=$((SECONDS - start))
  [ $took -le 12 ] || { cat "$how.txt" "$(folder)"/log.txt; fail "$how: $took seconds later ranks still ran"; }
  wait $sweep || { cat "$how.txt" "$(folder)"/log.txt; fail "$how: the sweep failed"; }
  echo "$how: $took s: $(grep -o '"kind":"rank","message":"[^"]*"' "$(folder)"/attempts.jsonl)"
  grep -q '"kind":"rank","message":"rank 1 of 2 (host nodeb, process [0-9]*) has ' "$(folder)"/attempts.jsonl || { cat "$(folder)"/attempts.jsonl; fail "$how: the lost rank is not named"; }
  grep -q '"why":"retry 1 of 2 after rank: .*; on 1 rank instead of 2"' "$(folder)"/attempts.jsonl || { cat "$(folder)"/attempts.jsonl; fail "$how: not retried on one rank"; }
  DB=$results/flipbench.db expect_answer "SELECT group_concat(coalesce(ranks, 1), ' ') FROM attempt" '2 1'
  DB=$results/flipbench.db expect_answer "SELECT status, (SELECT sum(steps) FROM step) FROM run" 'finished|4000'
  "$FLIPBENCH" show 1 --results "$results" | grep -q '2 ranks: nodea (rank 0), nodeb (rank 1)' || fail "$how: the nodes are not named"
}
cases=()
for how in cut_cable cut_one_way; do
  (name_nodes $BASHPID; trap stop_nodes EXIT; fails $how) & cases+=($!)
done
for case in "${cases[@]}"; do wait "$case" || fail 'a network that failed'; done
