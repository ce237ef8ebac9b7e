. "$SOURCE/tests/support/real_sweep.sh"
cat > experiments/long.yaml <<'Y'
name: long
base: ../run.yaml
settings: {samples: 48k, batch_size: 64, eval.points: 2, image.layers: 1}
matrix: {mask_ratio: [0.5]}
report: {rows: mask_ratio, columns: [samples_per_second], plots: []}
Y
# A process that reaches its limit writes a checkpoint and counts as failed.
expect_status 1 bench run experiments/long.yaml --no-progress --time-limit 2s
expect_line err.txt 'mask_ratio=0.5: failed: ran longer than its time limit of 2[.0 ]*s; a retry resumes from its checkpoint'
expect_answer "SELECT status, kind FROM run" 'failed|timeout'
steps=$(ask "SELECT max(step) FROM step")
[ "$steps" -ge 1 ] || fail 'it was stopped before its first step'
[ "$(ask "SELECT max(step) FROM artifact")" = "$steps" ] || fail 'steps after the checkpoint are lost'

# Data that changed in between is refused; the remedy is flipbench's, and works.
cp -r results kept && cp -r data data.kept
"$FLIP" data scenes --out data --count 160 --seed 9 --split train --size 24 --no-progress >/dev/null
expect_status 1 bench run experiments/long.yaml --no-progress --retry failed
expect_line err.txt "now gives 160 samples .* Restore the earlier data to continue, or train the cell anew: 'flipbench runs archive RUN'"
expect_answer "SELECT kind, message LIKE '%archive RUN%' FROM run" 'input|1'
expect_status 0 bench runs archive 1
expect_status 0 bench run experiments/long.yaml --no-progress --set samples=640
rm -r results data && mv kept results && mv data.kept data

# Retries resume from there, each with its own time, until all steps are there once.
expect_status 0 bench run experiments/long.yaml --no-progress --retry failed --time-limit 4s --retries 12 --retry-wait 10ms
expect_answer "SELECT status FROM run" finished
expect_answer "SELECT count(*), max(step), sum(steps) FROM step" '750|750|750'
expect_answer "SELECT value > 1 FROM summary WHERE name = 'attempts'" 1
expect_answer "SELECT abs(sum(seconds) - value) < 1e-6 FROM step JOIN summary USING (run_id) WHERE name = 'train_seconds'" 1
expect_status 0 bench verify 1

# Memory beyond the limit is a failure of its own kind. (A sanitizer's shadow is memory, too; and where
# oneDNN is refused memory for the code of a kernel, at 24 to 28 MiB, it crashes.)
if [ "${BINARY##*/}" != asan ]; then
  expect_status 1 bench run experiments/long.yaml --no-progress --set seed=5 --memory-limit 20MiB
  expect_answer "SELECT status, kind FROM run ORDER BY id DESC LIMIT 1" 'failed|memory'
fi

# A file that is missing when a run starts is wrong input, which no retry mends; one that cannot be
# read may be readable the next time.
mkdir folder
for set in data.train=nothere.tar text.vocabulary=nope 'eval.sets=[nope.yaml]' data.train=nope.csv; do
  expect_status 1 bench run experiments/long.yaml --set "$set" --retries 1 --retry-wait 10ms
  expect_line err.txt '[Nn]o such file'
  expect_answer "SELECT attempt.kind, run.kind FROM attempt JOIN run ON run.id = run_id ORDER BY run.id DESC LIMIT 1" 'input|input'
  ! grep -q 'retry in' err.txt || fail "$set: a missing file is retried"
done
expect_status 1 bench run experiments/long.yaml --set text.vocabulary=folder --retries 1 --retry-wait 10ms
expect_line err.txt 'retry in 10 ms'
