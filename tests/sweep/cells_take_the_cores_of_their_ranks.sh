# Cells with different numbers of ranks share a machine: each takes the GPUs and cores that its own ranks
# need, so that a narrow cell runs next to a wide one, and two narrow ones where a wide one ran. Cells start
# in the experiment's order: one that does not fit yet is not overtaken.
. "$SOURCE/tests/support/ranks.sh"
# how many pairs of their attempts ran at the same time
overlaps() { # LABEL LABEL
  ask "SELECT count(*) FROM attempt AS a JOIN v_cell_latest AS v ON v.run_id = a.run_id, attempt AS b JOIN v_cell_latest AS w ON w.run_id = b.run_id
    WHERE v.label = '$1' AND w.label = '$2' AND a.started < b.ended AND b.started < a.ended"
}
show() { ask 'SELECT v.label, a.started, a.ended FROM attempt AS a JOIN v_cell_latest AS v ON v.run_id = a.run_id'; }

# three GPUs (only listed: these runs use CPUs), and cells of two ranks and of one
cat > mixed.yaml <<'Y'
name: mixed
base: run.yaml
settings: {samples: 960, device: cpu}
matrix: {seed: [0, 1], ranks: [2, 1]}
requires: {gpus: 1}
report: {rows: ranks, columns: [final_loss], plots: []}
Y
bench run mixed.yaml --no-progress --gpus 0,1,2 > out.txt 2> err.txt || { cat out.txt err.txt; fail 'the sweep'; }
expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 4
[ "$(overlaps 'seed=0 ranks=2' 'seed=0 ranks=1')" = 1 ] || { show; fail 'the narrow cell did not run next to the wide one'; }
[ "$(overlaps 'seed=0 ranks=2' 'seed=1 ranks=2')" = 0 ] || fail 'two wide cells on three GPUs'
gpus() { grep -ho '"slot":"[^"]*"' results/mixed/*"$1"*/attempts.jsonl | grep -oE 'GPU [0-9,]+'; }
[ "$(gpus 'seed=0_ranks=2')" = 'GPU 0,1' ] && [ "$(gpus 'seed=0_ranks=1')" = 'GPU 2' ] || { cat results/mixed/*/attempts.jsonl; fail 'not the GPUs that their own ranks need'; }

# two cores: a wide cell has both, and then two narrow ones run at once, each on its own
if [ "$(nproc)" -ge 2 ]; then
  sed 's/name: mixed/name: narrow/; s/^requires:.*/requires: {cores: 1}/; s/^matrix:.*/matrix: {ranks: [2, 1], seed: [0, 1]}/' mixed.yaml > narrow.yaml
  two=$(taskset -pc $$ | sed 's/.*: //' | awk -F, '{ n = 0; for (i = 1; i <= NF && n < 2; i++) { m = split($i, r, "-"); last = m > 1 ? r[2] : r[1]; for (c = r[1]; c <= last && n < 2; c++) { printf "%s%d", n ? "," : "", c; n++ } } }')
  DB=cores/flipbench.db
  taskset -c "$two" "$FLIPBENCH" run narrow.yaml --no-progress --results cores > out.txt 2> err.txt || { cat out.txt err.txt; fail 'the sweep on two cores'; }
  [ "$(overlaps 'ranks=1 seed=0' 'ranks=1 seed=1')" = 1 ] || { show; fail 'the narrow cells did not run at once'; }
  [ "$(overlaps 'ranks=2 seed=0' 'ranks=1 seed=0')" = 0 ] || fail 'a narrow cell on the cores of a wide one'
  [ "$(grep -ho '"slot":"core [0-9]*"' cores/narrow/ranks=1*/attempts.jsonl | sort -u | wc -l)" = 2 ] || { grep -h '"slot"' cores/narrow/*/attempts.jsonl; fail 'two narrow cells on one core'; }
fi
