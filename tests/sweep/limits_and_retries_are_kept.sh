. "$SOURCE/tests/support/sweep.sh"
half="WHERE cell_id = (SELECT cell_id FROM v_cell_latest WHERE label = 'mask_ratio=0.5')"

# A cell that exceeds its time limit is stopped, writes a checkpoint and fails; the others run. The limit
# is of the cell that hangs, and leaves it seconds to reach that point, so that a busy machine does not
# decide the result.
sed 's/^name: small/name: timed/' experiments/small.yaml > experiments/timed.yaml
echo 'limits: {when: {mask_ratio: 0.5}, time: 4s}' >> experiments/timed.yaml
(export FAKE_HANG=mask_ratio=0.5; expect_status 1 bench run experiments/timed.yaml)
expect_line err.txt 'mask_ratio=0.5: failed: ran longer than its time limit of 4.0 s; a retry resumes'
expect_answer "SELECT status, kind FROM run $half" 'failed|timeout'
expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 3

# One that ignores the signal is killed. The limit is given for all cells.
rm -rf results
(export FAKE_DEAF=mask_ratio=0.5; expect_status 1 bench run experiments/small.yaml --time-limit 4s)
expect_line err.txt 'mask_ratio=0.5: failed: ran longer than its time limit of 4.0 s'
expect_answer "SELECT status, kind FROM run $half" 'failed|timeout'
expect_answer "SELECT signal FROM attempt WHERE kind = 'timeout'" 9

# A transient failure is retried, from the checkpoint, and each process says why it ran.
once() { # once VARIABLE: misbehaves once
  rm -rf results once
  mkdir once
  export FAKE_ONCE=$PWD/once "$1=mask_ratio=0.5"
}
(once FAKE_CRASH; expect_status 0 bench run experiments/small.yaml --retries 2 --retry-wait 200ms
 expect_line err.txt 'mask_ratio=0.5 · retry in 200 ms \(1 of 2\), from its checkpoint'
 expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 5
 expect_answer "SELECT number, attempt.status, attempt.kind FROM attempt JOIN run ON run.id = run_id $half" $'1|failed|crash\n2|finished|'
 grep -q '"why":"retry 1 of 2 after crash: killed by signal 11' results/small/mask_ratio=0.5-*/attempts.jsonl || fail 'no reason is recorded'
 # nothing was trained twice: the second process began at the checkpoint
 [ "$(grep -c '"event":"step"' results/small/mask_ratio=0.5-*/events.jsonl)" -lt 200 ] || fail 'trained from the start'
 expect_answer "SELECT count(*), max(step) FROM step JOIN run ON run.id = run_id $half" '125|125'
 expect_status 0 bench db check)
# Without a checkpoint it starts over, and the failed run is kept.
(once FAKE_KILL; expect_status 0 bench run experiments/small.yaml --retries 1 --retry-wait 10ms --set eval.points=1
 expect_answer "SELECT count(*) FROM run WHERE status = 'failed' AND directory LIKE '%.failed-1'" 1
 expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 5)

# The name of a failed run whose folder was deleted by hand is not given twice.
(once FAKE_NAN; expect_status 1 bench run experiments/small.yaml
 rm -r once; mkdir once
 expect_status 1 bench run experiments/small.yaml --retry
 rm -r results/small/mask_ratio=0.5-*.failed-1
 expect_status 0 bench run experiments/small.yaml --retry
 expect_answer "SELECT count(*) FROM run WHERE directory LIKE '%.failed-1'" 1
 expect_answer "SELECT count(*) FROM run WHERE directory LIKE '%.failed-2'" 1
 expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 5)

# The time limit is of a cell's time slices together: each of these is far shorter.
rm -rf results
sed 's/^name: small/name: sliced/; s/^matrix:/schedule: turns\nmatrix:/' experiments/small.yaml > experiments/sliced.yaml
(export FAKE_STEP_MS=100 FAKE_CHECKPOINT_MS=0; expect_status 1 bench run experiments/sliced.yaml --turns 0.4 --time-limit 3s)
expect_line err.txt 'mask_ratio=0.75: failed: ran longer than its time limit of 3.0 s'
expect_answer "SELECT min((SELECT count(*) FROM attempt WHERE run_id = run.id)) >= 2 FROM run" 1

# Stopped while it waits for its retry it is recorded as failed: only --retry starts it again.
(once FAKE_CRASH
 "$FLIPBENCH" run experiments/small.yaml --retries 1 --retry-wait 10m > out.txt 2> err.txt & sweep=$!
 for _ in $(seq 200); do grep -q 'retry in 10 m' err.txt && break; sleep 0.1; done
 kill -TERM $sweep
 got=0; wait $sweep || got=$?
 [ $got = 130 ] || { cat err.txt; fail "stopped before a retry, it ended with $got"; }
 expect_line err.txt 'mask_ratio=0.5: failed: killed by signal 11'
 expect_line err.txt '1 failed; to retry: flipbench run experiments/small.yaml --retry$'
 expect_status 0 bench run experiments/small.yaml --retry
 expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 5)

expect_status 2 bench run experiments/small.yaml --retries -1
expect_line err.txt '--retries: -1 is negative; 0 turns retries off'

# Deterministic failures are not retried; when retries are used up the cell has failed.
(once FAKE_NAN; expect_status 1 bench run experiments/small.yaml --retries 2 --retry-wait 10ms
 expect_answer "SELECT count(*) FROM attempt JOIN run ON run.id = run_id $half" 1)
(once FAKE_REFUSE; expect_status 1 bench run experiments/small.yaml --retries 2 --retry-wait 10ms
 expect_answer "SELECT count(*) FROM attempt JOIN run ON run.id = run_id $half" 1)
rm -rf results
(export FAKE_CRASH=mask_ratio=0.5; expect_status 1 bench run experiments/small.yaml --retries 2 --retry-wait 10ms)
expect_answer "SELECT count(*) FROM attempt JOIN run ON run.id = run_id $half" 3
expect_line err.txt 'killed by signal 11'

# The file's limits do the same, for the cells they name.
rm -rf results
cat >> experiments/small.yaml <<'Y'
limits: {when: {mask_ratio: 0.5}, retries: 1, retry_wait: 10ms}
Y
(export FAKE_CRASH=mask_ratio=0.5; expect_status 1 bench run experiments/small.yaml)
expect_answer "SELECT count(*) FROM attempt JOIN run ON run.id = run_id $half" 2

# Memory beyond the limit is a failure of that cell alone. (A sanitizer's shadow is memory, too.)
if [ "${BINARY##*/}" != asan ]; then
  rm -rf results
  (export FAKE_HOG=mask_ratio=0.5; expect_status 1 bench run experiments/small.yaml --memory-limit 256MiB --retries 0)
  expect_answer "SELECT status, kind FROM run $half" 'failed|memory'
  expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 3
fi

# Unmet requirements are reported before anything starts.
cat >> experiments/small.yaml <<'Y'
requires: {memory: 900TiB, variables: [NOT_SET_HERE], files: [nowhere.bin]}
environment: {GREETING: hello}
Y
rm -rf results
expect_status 2 bench run experiments/small.yaml
for what in 'memory: 900 TiB' 'NOT_SET_HERE is not set' 'nowhere.bin does not exist'; do expect_line err.txt "$what"; done
[ ! -e results/small/mask_ratio=0-* ] || fail 'a cell was started'
sed -i 's/^requires:.*/requires: {cores: 1000}/' experiments/small.yaml
expect_status 2 bench run experiments/small.yaml
expect_line err.txt 'requires 1000 CPU cores'
sed -i 's/^requires:.*/requires: {gpus: 1}/' experiments/small.yaml
CUDA_VISIBLE_DEVICES='' expect_status 2 bench run experiments/small.yaml
expect_line err.txt 'requires 1 GPU, but 0 are available'

# With GPUs named, each cell sees its own, and the file's variables.
expect_status 2 bench run experiments/small.yaml --gpus 5,7 --jobs 3
printf '#!/bin/sh\necho "gpu=$CUDA_VISIBLE_DEVICES $GREETING" >> seen.txt\nexec "%s" "$@"\n' "$FLIP" > wrapper
chmod +x wrapper
FLIP=$PWD/wrapper FAKE_STEP_MS=2 expect_status 0 bench run experiments/small.yaml --gpus 5,7
[ "$(sort -u seen.txt)" = $'gpu=5 hello\ngpu=7 hello' ] || { cat seen.txt; fail 'wrong GPUs or variables'; }
grep -q '"slot":".*GPU 7"' results/small/*/attempts.jsonl || fail 'the slot is not recorded'
