# Stopping, pausing, limits and the death of flipbench or mpirun reach every rank of a cell.
. "$SOURCE/tests/support/ranks.sh"
cat > stop.yaml <<'Y'
name: stop
base: run.yaml
settings: {samples: 48k, log_every: 5}
requires: {ranks: 2}
report: {columns: [final_loss], plots: []}
Y
folder() { echo results/stop/stop-*; }
starts() { grep -c '"event":"start"' "$(folder)"/events.jsonl 2>/dev/null || true; }
sweep_behind() { before=$(starts); "$FLIPBENCH" run stop.yaml --no-progress "$@" > out.txt 2> err.txt & sweep=$!; }
# Waits until the ranks of a new attempt train.
train_on() {
  await 60 eval '[ "$(starts)" -gt "${before:-0}" ] && tail -1 "$(folder)"/events.jsonl | grep -q "\"event\":\"step\""' || { cat err.txt; fail 'no step in a minute'; }
}
launcher() { grep -o '"pid":[0-9]*' "$(folder)"/attempts.jsonl | tail -1 | cut -d: -f2; }

# Ctrl-C: every rank finishes the step, rank 0 writes a checkpoint
sweep_behind; train_on
kill -INT $sweep
got=0; wait $sweep || got=$?
[ $got = 130 ] || { cat err.txt; fail "stopped, but status $got"; }
none_live "$(folder)" || fail 'ranks are left after a stop'
expect_answer "SELECT status, ranks, json_array_length(rank_records) FROM attempt" 'interrupted|2|2'
[ -n "$(ls "$(folder)"/checkpoints/*.safetensors)" ] || fail 'no checkpoint'

# pause and resume
sweep_behind; train_on
bench pause stop || fail 'pause'
await 60 none_live "$(folder)" || fail 'ranks are left in a pause'
before=$(starts)
bench resume stop || fail 'resume'
train_on

# flipbench is killed: its ranks stop at a checkpoint, as a plain cell does
kill -KILL $sweep
wait $sweep 2>/dev/null || true
await 20 none_live "$(folder)" || fail 'ranks outlive a killed flipbench by 20 seconds'
tail -1 "$(folder)"/events.jsonl | grep -q '"status":"interrupted"' || fail 'they did not stop at a checkpoint'

# mpirun is killed: its ranks end at once
sweep_behind; train_on
kill -KILL "$(launcher)"
await 10 none_live "$(folder)" || fail 'ranks outlive a killed mpirun'
got=0; wait $sweep || got=$?
[ $got = 1 ] || { cat err.txt; fail "mpirun was killed, and the sweep ended with $got"; }
expect_answer "SELECT kind FROM attempt ORDER BY number DESC LIMIT 1" killed

# the time limit, from where it was; a second signal kills
bench run stop.yaml --retry --time-limit 4s --no-progress > out.txt 2> err.txt && fail 'beyond the time limit'
expect_answer "SELECT kind FROM attempt ORDER BY number DESC LIMIT 1" timeout
none_live "$(folder)" || fail 'ranks are left after the time limit'
sweep_behind --retry; train_on
kill -STOP "$(rank_pid "$(folder)" 1)"
kill -INT $sweep; sleep 0.3; kill -INT $sweep
got=0; wait $sweep || got=$?
[ $got = 130 ] || { cat err.txt; fail "killed by a second signal, and the sweep ended with $got"; }
await 10 none_live "$(folder)" || fail 'ranks outlive a second signal'
bench run stop.yaml --no-progress > out.txt 2> err.txt || { cat err.txt; fail 'continuing to the end'; }
expect_answer "SELECT status, (SELECT sum(steps) FROM step) FROM run" 'finished|2000'
