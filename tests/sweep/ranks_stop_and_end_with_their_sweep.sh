# Stopping, pausing, limits and the death of flipbench or mpirun reach every rank of a cell. The cases run
# at once, each in its own results folder.
. "$SOURCE/tests/support/ranks.sh"
cat > stop.yaml <<'Y'
name: stop
base: run.yaml
settings: {samples: 48k, log_every: 5}
requires: {ranks: 2}
report: {columns: [final_loss], plots: []}
Y
folder() { ls -d "$results"/stop/stop-* 2>/dev/null | grep -v '\.failed-'; } # the run, not what was set aside
starts() { cat "$results"/stop/stop-*/events.jsonl 2>/dev/null | grep -c '"event":"start"' || true; } # set aside ones too
sweep_behind() { before=$(starts); "$FLIPBENCH" run stop.yaml --results "$results" --no-progress "$@" > "$results.out" 2> "$results.err" & sweep=$!; }
# Waits until the ranks of a new attempt train.
train_on() {
  await 60 eval '[ "$(starts)" -gt "${before:-0}" ] && tail -1 "$(folder)"/events.jsonl | grep -q "\"event\":\"step\""' || { cat "$results.err"; fail "$results: no step in a minute"; }
}
launcher() { grep -o '"pid":[0-9]*' "$(folder)"/attempts.jsonl | tail -1 | cut -d: -f2; }
ends_with() { local got=0; wait $sweep || got=$?; [ $got = "$1" ] || { cat "$results.err"; fail "$2, but the sweep ended with $got"; }; }

# Ctrl-C: every rank finishes the step, rank 0 writes a checkpoint. Then the run continues to the end.
is_interrupted() {
  sweep_behind; train_on
  kill -INT $sweep
  ends_with 130 stopped
  none_live "$(folder)" || fail 'ranks are left after a stop'
  expect_answer "SELECT status, ranks, json_array_length(rank_records) FROM attempt" 'interrupted|2|2'
  # mpirun saw no failure, after which it would wait for seconds to end ranks that have ended
  expect_answer "SELECT exit_code, json_extract(rank_records, '\$[0].exit_code') FROM attempt" '0|130'
  [ -n "$(ls "$(folder)"/checkpoints/*.safetensors)" ] || fail 'no checkpoint'
  bench run stop.yaml --results "$results" --no-progress > "$results.out" 2> "$results.err" || { cat "$results.err"; fail 'continuing to the end'; }
  expect_answer "SELECT status, (SELECT sum(steps) FROM step) FROM run" 'finished|2000'
}

# Pause and resume; then flipbench is killed: its ranks stop at a checkpoint, as a cell of one rank does.
is_paused() {
  sweep_behind -s samples=480k; train_on
  bench pause stop --results "$results" || fail 'pause'
  await 60 none_live "$(folder)" || fail 'ranks are left in a pause'
  before=$(starts)
  bench resume stop --results "$results" || fail 'resume'
  train_on
  kill -KILL $sweep
  wait $sweep 2>/dev/null || true
  await 20 none_live "$(folder)" || fail 'ranks outlive a killed flipbench by 20 seconds'
  tail -1 "$(folder)"/events.jsonl | grep -q '"status":"interrupted"' || fail 'they did not stop at a checkpoint'
}

# mpirun is killed: its ranks end at once.
loses_mpirun() {
  sweep_behind -s samples=480k; train_on
  kill -KILL "$(launcher)"
  await 10 none_live "$(folder)" || fail 'ranks outlive a killed mpirun'
  ends_with 1 'mpirun was killed'
  expect_answer "SELECT kind FROM attempt ORDER BY number DESC LIMIT 1" killed
}

# The time limit; and a second signal, which also kills stopped ranks.
is_limited() {
  bench run stop.yaml --results "$results" -s samples=480k --time-limit 4s --no-progress > "$results.out" 2> "$results.err" && fail 'beyond the time limit'
  expect_answer "SELECT kind FROM attempt ORDER BY number DESC LIMIT 1" timeout
  none_live "$(folder)" || fail 'ranks are left after the time limit'
  sweep_behind -s samples=480k --retry; train_on
  kill -STOP "$(rank_pid "$(folder)" 1)"
  kill -INT $sweep; sleep 0.3; kill -INT $sweep
  ends_with 130 'killed by a second signal'
  await 10 none_live "$(folder)" || fail 'ranks outlive a second signal'
}

cases=()
for case in is_interrupted is_paused loses_mpirun is_limited; do
  (trap 'kill -INT $(jobs -p) 2>/dev/null || true' EXIT; results=$case DB=$case/flipbench.db; $case) & cases+=($!)
done
for case in "${cases[@]}"; do wait "$case" || fail 'a case'; done
