# A sweep whose cells start from one that another sweep is training waits for it, also when it has nothing
# else to do, and says so. When the other sweep is stopped it continues the parent itself.
. "$SOURCE/tests/support/sweep.sh"
await() { for _ in $(seq 300); do ! "$@" || return 0; sleep 0.05; done; cat err1.txt; fail "not within 15 s: $*"; }
cat > experiments/base.yaml <<'Y'
name: base
settings: {samples: 8k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 2}
matrix: {mask_ratio: [0.5]}
report: {rows: mask_ratio, columns: [zero_shot_top1], plots: []}
Y
sed 's/^name:.*/name: tuned/; /^report:/d' experiments/base.yaml > experiments/tuned.yaml
cat >> experiments/tuned.yaml <<'Y'
tuning: {unmasked: {from: "${cell}", mask_ratio: 0, samples: 1k, eval.points: 1}}
report: {rows: mask_ratio, columns: [tuned_zero_shot_top1], plots: []}
Y
parent_trains() { grep -qs '"event":"step"' results/base/mask_ratio=0.5-*/events.jsonl; }
says_wait() { grep -q 'unmasked tuning: waiting for its parent cell mask_ratio=0.5, which another sweep is running in results/base/mask_ratio=0.5-' err1.txt; }
begin() { # the other sweep, then this one
  rm -rf results
  "$FLIPBENCH" run experiments/base.yaml > out2.txt 2> err2.txt & other=$!
  await parent_trains
  : > err1.txt
  "$FLIPBENCH" run experiments/tuned.yaml > out1.txt 2> err1.txt & sweep=$!
  await says_wait
}
export FAKE_STEP_MS=30
begin
wait $other || fail "the other sweep ended with $?"
wait $sweep || { cat err1.txt; fail "the sweep ended with $?"; }
[ "$(grep -c 'waiting for its parent' err1.txt)" = 1 ] || fail "said more than once"
expect_answer "SELECT count(*), sum(status = 'finished') FROM attempt" '2|2'
expect_answer "SELECT count(*) FROM v_cell_latest WHERE experiment = 'tuned' AND status = 'finished'" 2

# Stopped: what it has trained is continued.
begin
kill -INT $other
wait $other && fail "it was not stopped"
wait $sweep || { cat err1.txt; fail "the sweep ended with $?"; }
expect_line err1.txt 'mask_ratio=0.5: the other sweep has left it; this one continues it'
expect_answer "SELECT group_concat(status) FROM (SELECT attempt.status FROM attempt ORDER BY attempt.started)" interrupted,finished,finished
expect_answer "SELECT count(*) FROM run WHERE directory LIKE 'tuned/%'" 1

# Failed: there is nothing to start from.
export FAKE_NAN=mask_ratio=0.5
begin
wait $other && fail "it did not fail"
! wait $sweep || fail "the sweep has a result"
expect_line err1.txt 'unmasked tuning: skipped: its parent cell has no result: mask_ratio=0.5'
unset FAKE_NAN

# A dry run names what is trained elsewhere, and a stop ends the wait.
begin
expect_status 0 bench run experiments/tuned.yaml --dry-run
kill -INT $sweep
wait $sweep && fail "it was not stopped"
kill -0 $other || fail "the other sweep was stopped too"
wait $other || fail "the other sweep ended with $?"
