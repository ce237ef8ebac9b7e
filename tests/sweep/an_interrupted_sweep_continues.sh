. "$SOURCE/tests/support/real_sweep.sh"
set -m # a job of its own for what runs in the background: only then does it hear Ctrl-C

wait_for_steps() { # wait_for_steps [N]: until the first cell has written some steps
  for _ in $(seq 200); do
    grep -qs "\"step\":${1:-20}," results/small/*/events.jsonl && return
    sleep 0.05
  done
  fail "no steps came"
}

# Ctrl-C: the cell checkpoints, the sweep ends with 130 and says how to continue.
"$FLIPBENCH" run experiments/small.yaml > out.txt 2> err.txt & sweep=$!
wait_for_steps
kill -INT $sweep
got=0; wait $sweep || got=$?
[ $got = 130 ] || { cat err.txt; fail "ended with $got"; }
expect_line err.txt 'run the same command to continue'
expect_answer "SELECT status FROM run" interrupted
expect_status 0 bench status small
expect_line out.txt "^interrupted .*: stopped after step [0-9]+ of 250; the same 'flipbench run' command continues$"
ls results/small/*/checkpoints/*.safetensors > /dev/null

# Twice Ctrl-C: a cell that does not listen is killed at once, and can be resumed.
rm -rf results
FLIP=$BINARY/tests/fake_flip FAKE_STEP_MS=10 FAKE_DEAF=mask_ratio=0 "$FLIPBENCH" run experiments/small.yaml > out.txt 2> err.txt & sweep=$!
wait_for_steps 125 # half way: from there on it hears nothing
sleep 0.2
kill -INT $sweep
sleep 0.5
kill -0 $sweep || fail 'the first Ctrl-C killed'
kill -INT $sweep
got=0; wait $sweep || got=$?
[ $got = 130 ] || { cat err.txt; fail "ended with $got"; }
expect_answer "SELECT status, kind FROM run" 'interrupted|stopped'

# SIGKILL of the coordinator: the record still opens, and the next run takes over.
rm -rf results # the stand-in's files cannot be resumed
"$FLIPBENCH" run experiments/small.yaml > out.txt 2> err.txt & sweep=$!
wait_for_steps
kill -KILL $sweep
wait $sweep || true
expect_status 0 bench db check
expect_status 0 bench status small


expect_status 0 bench run experiments/small.yaml
expect_answer "SELECT count(DISTINCT cell_id) FROM run WHERE status = 'finished'" 5
# every step of the interrupted cell is there once
expect_answer "SELECT count(*), count(loss), max(step) FROM step WHERE run_id = 1" '250|250|250'

# Two sweeps over one results folder: the second is refused, the first unharmed.
rm -rf results
"$FLIPBENCH" run experiments/small.yaml > first.txt 2>&1 & sweep=$!
wait_for_steps
expect_status 1 bench run experiments/small.yaml
expect_line err.txt 'already|another|lock'
kill -INT $sweep
got=0; wait $sweep || got=$?
[ $got = 130 ] || { cat first.txt; fail "the first sweep ended with $got"; }
expect_status 0 bench db check

# A terminal that is closed sends SIGHUP twice: the cell writes its checkpoint all the same.
rm -rf results
FLIP=$BINARY/tests/fake_flip FAKE_STEP_MS=10 FAKE_CHECKPOINT_MS=1500 "$FLIPBENCH" run experiments/small.yaml > out.txt 2> err.txt & sweep=$!
wait_for_steps
kill -HUP $sweep
sleep 0.5
kill -HUP $sweep
got=0; wait $sweep || got=$?
[ $got = 130 ] || { cat err.txt; fail "ended with $got"; }
expect_answer "SELECT status, signal FROM attempt" 'interrupted|0'

# nohup: a sweep that ignores SIGHUP runs on.
rm -rf results
(trap '' HUP; FLIP=$BINARY/tests/fake_flip FAKE_STEP_MS=2 exec "$FLIPBENCH" run experiments/small.yaml) > out.txt 2> err.txt & sweep=$!
wait_for_steps
kill -HUP $sweep
got=0; wait $sweep || got=$?
[ $got = 0 ] || { cat err.txt; fail "ended with $got after SIGHUP, which it ignores"; }
expect_answer "SELECT count(DISTINCT cell_id) FROM run WHERE status = 'finished'" 5
