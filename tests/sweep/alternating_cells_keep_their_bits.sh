. "$SOURCE/tests/support/training.sh"
unset FLIPBENCH_DB
make_data
ask() { sqlite3 -batch "file:$1/flipbench.db?mode=ro" "$2"; }
cat > turns.yaml <<'Y'
name: turns
base: run.yaml
schedule: turns
settings: {samples: 3200, eval.points: 2}
matrix: {mask_ratio: [0, 0.5], seed: [0]}
report: {rows: mask_ratio, baseline: {mask_ratio: 0}, columns: [samples_per_second], plots: []}
Y
expect_status 2 "$FLIPBENCH" run turns.yaml --turns abc
expect_line err.txt "--turns: 'abc' is not a duration \(90, 30s, 5m\)"
expect_status 0 "$FLIPBENCH" run turns.yaml --no-progress --turns 0 --results plain
[ "$(ask plain 'SELECT count(*) FROM attempt')" = 2 ] || fail "turns were taken though there were to be none"
# Turns far too short to be worth it, so that there are many.
expect_status 0 "$FLIPBENCH" run turns.yaml --no-progress --turns 0.15 --results turned
[ "$(ask turned 'SELECT min((SELECT count(*) FROM attempt WHERE run_id = run.id)) >= 2 FROM run')" = 1 ] || fail "no turns were taken"
[ "$(ask turned "SELECT count(*) FROM attempt JOIN run ON run.id = run_id WHERE attempt.status = 'interrupted'")" -ge 2 ] || fail "no cell was stopped"
# trained again without turns, the last checkpoint has the same bits
for run in 1 2; do expect_status 0 "$FLIPBENCH" verify $run --results turned; done
# evaluations, steps and losses are those of the run without turns
rows="SELECT cell_id, step, loss FROM step JOIN run ON run.id = run_id ORDER BY 1, 2; SELECT cell_id, step, task, metric, value FROM evaluation JOIN run ON run.id = run_id ORDER BY 1, 2, 3, 4; SELECT cell_id, name, value FROM summary JOIN run ON run.id = run_id WHERE name IN ('samples', 'final_loss') ORDER BY 1, 2"
wanted=$(ask plain "$rows")
[ -n "$wanted" ] && [ "$(ask turned "$rows")" = "$wanted" ] || fail "$(diff <(ask plain "$rows") <(ask turned "$rows"))"
# times are sums over all the turns
[ "$(ask turned "SELECT count(*) FROM run WHERE (SELECT sum(steps) FROM step WHERE run_id = run.id) = 100")" = 2 ] || fail "steps are missing"
