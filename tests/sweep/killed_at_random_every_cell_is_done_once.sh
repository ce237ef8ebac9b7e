# 200 cells in two slots; flipbench killed 50 times by SIGKILL at random moments, its trainers with it
# or not. FLIP_KILL_SEED repeats a run; FLIP_KILLS asks for another number of kills.
. "$SOURCE/tests/support/sweep.sh"
RANDOM=${FLIP_KILL_SEED:-$(date +%N | sed 's/^0*//')}
echo "seed $RANDOM"
kills=${FLIP_KILLS:-50}
export FAKE_STEP_MS=8
cat > experiments/many.yaml <<'Y'
name: many
settings: {batch_size: 64, samples: 1280, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 2}
matrix:
  mask_ratio: [0, 0.25, 0.5, 0.75]
  seed: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24]
tuning:
  unmasked: {from: "${cell}", mask_ratio: 0, samples: 640, eval.points: 1}
report: {rows: mask_ratio, baseline: {mask_ratio: 0}}
Y

set -m # each sweep in a process group of its own
landed=0
for ((kill = 1; kill <= kills; kill++)); do
  "$FLIPBENCH" run experiments/many.yaml --jobs 2 --no-progress > run.txt 2>&1 & sweep=$!
  sleep "0.$(printf '%03d' $((RANDOM % 350 + 20)))"
  trainers=$(pgrep -P $sweep || true)
  kill -KILL $sweep 2>/dev/null || true
  [ $((RANDOM % 2)) = 0 ] || kill -KILL $trainers 2>/dev/null || true
  wait $sweep 2>/dev/null || true
  [ ! -e results/flipbench.db ] || finished=$(ask "SELECT count(*) FROM run WHERE status = 'finished'" 2>/dev/null || echo 0)
  [ "${finished:-0}" = 200 ] || landed=$kill
done
echo "$landed kills met unfinished cells; $finished cells were finished after them"
[ $landed -ge $((kills * 3 / 5)) ] || fail "only $landed kills met unfinished cells"

# The last start ends what is left.
expect_status 0 bench run experiments/many.yaml --jobs 2 --no-progress
expect_answer "SELECT count(*), count(DISTINCT cell_id), sum(status = 'finished') FROM run" '200|200|200'
expect_answer "SELECT count(*) FROM v_cell_latest WHERE experiment = 'many' AND status = 'finished'" 200
# done once: the last process of a run is the one that finished it, and no other did
expect_answer "SELECT count(*) FROM attempt WHERE status = 'finished'" 200
expect_answer "SELECT count(*) FROM attempt JOIN (SELECT run_id, max(number) AS last FROM attempt GROUP BY run_id) USING (run_id)
               WHERE attempt.status = 'finished' AND number = last" 200
# every step once, none missing
expect_answer "SELECT count(*), min(steps), max(steps), min(last), max(last) FROM (SELECT count(*) AS steps, max(step) AS last
               FROM step JOIN run ON run.id = step.run_id JOIN v_cell_latest AS v ON v.cell_id = run.cell_id WHERE tuning IS NULL GROUP BY run.id)" '100|20|20|20|20'
expect_answer "SELECT count(*), min(steps), max(steps) FROM (SELECT count(*) AS steps
               FROM step JOIN run ON run.id = step.run_id JOIN v_cell_latest AS v ON v.cell_id = run.cell_id WHERE tuning IS NOT NULL GROUP BY run.id)" '100|10|10'
expect_answer "SELECT count(*) FROM warning WHERE kind = 'broken_line' AND message NOT LIKE '%{%'" 0
expect_status 0 bench db check

# A rebuilt database is the same, except for run numbers.
dump() {
  ask "SELECT cell_id, directory, status, kind, message, started, ended, settings_fingerprint, data_fingerprint FROM run ORDER BY 1, 2;
       SELECT cell_id, number, pid, attempt.started, attempt.ended, attempt.status, exit_code, signal, attempt.kind, attempt.message, log_tail, command, first_step FROM attempt JOIN run ON run.id = run_id ORDER BY 1, 2;
       SELECT cell_id, step.* FROM (SELECT *, run_id AS r FROM step) AS step JOIN run ON run.id = r ORDER BY cell_id, step;" | sed -E 's/^([0-9a-f]{32})\|[0-9]+\|([0-9]+\|)/\1|\2/'
  ask "SELECT cell_id, set_name, task, metric, step, value, ordinal, samples, evaluation.train_seconds FROM evaluation JOIN run ON run.id = run_id ORDER BY 1, 2, 3, 4, 5;
       SELECT cell_id, name, value FROM summary JOIN run ON run.id = run_id ORDER BY 1, 2;
       SELECT cell_id, path, step, bytes FROM artifact JOIN run ON run.id = run_id ORDER BY 1, 2;
       SELECT cell_id, warning.kind, warning.message FROM warning JOIN run ON run.id = run_id ORDER BY 1, 2, 3;
       SELECT experiment, cell_id, position, label, axes, status FROM v_cell_latest ORDER BY 1, 3;"
}
dump > before.txt
expect_status 0 bench db rebuild
dump > after.txt
[ "$(wc -l < before.txt)" -gt 5000 ] || fail 'the comparison is nearly empty'
diff before.txt after.txt > difference.txt || { head -20 difference.txt; fail 'the rebuilt database differs'; }
