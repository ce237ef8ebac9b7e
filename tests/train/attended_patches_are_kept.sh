# Mask mode attentive: a run trains with patches chosen by an average of its own image tower. A killed
# run resumes with the same bits, so the average is in the checkpoint; ranks choose the patches that one
# process chooses; scoring is counted in the plan and in the record; a mask ratio of 0 has no average.
. "$SOURCE/tests/support/training.sh"
make_data
cat >> run.yaml <<'Y'
mask_mode: attentive
attentive: {momentum: 0.9, size: 12}
checkpoint.every_samples: 64
Y
train --out whole
grep -q 'average/image.blocks.1.qkv.weight' "$(newest whole)" || fail "the average is not in the checkpoint"
grep -q 'average/text' "$(newest whole)" && fail "the checkpoint has an average of the text tower"
first=$(field step loss whole/events.jsonl | sed -n 1p); last=$(field step loss whole/events.jsonl | tail -1)
awk -v a="$first" -v b="$last" 'BEGIN { exit !(b < a - 0.2) }' || fail "the loss went from $first to $last"

# it is not the random mask, and the scored size changes what is kept
train --out random -s mask_mode=random
train --out large -s attentive.size=24
for other in random large; do
  [ "$(field step loss $other/events.jsonl | tail -1)" != "$last" ] || fail "the same loss as with $other"
done

# killed after some steps, and resumed
cut_after 7 KILL killed "$FLIP" train --config run.yaml --no-progress --out killed
train --out killed --resume
cmp "$(newest whole)" "$(newest killed)" || fail "resuming after SIGKILL changed the bits"

# a checkpoint of another mode, without the average, cannot be resumed
expect_status 2 "$FLIP" train --config run.yaml --out random --resume
expect_line err.txt 'mask_mode: random, this run has attentive'

# two ranks, each with its own average, choose the patches that one process chooses; a sharded optimizer's
# weights are gathered before they are averaged
. "$SOURCE/tests/support/processes.sh"
on_two_ranks() {
  start 2 "$FLIP" train --config run.yaml --no-progress -s threads=1 "$@"
  finish || fail "on two ranks: $(cat err)"
}
on_two_ranks --out two
on_two_ranks --out shards -s optimizer.shard=true -s comm.bucket_bytes=20000
paste <(field step loss whole/events.jsonl) <(field step loss two/events.jsonl) |
  awk '{ if (NF != 2 || ($1 - $2)^2 > (1e-3 * $2)^2) exit 1 }' || fail "two ranks chose other patches"
[ "$(field step loss two/events.jsonl)" = "$(field step loss shards/events.jsonl)" ] || fail "shards changed the losses"

# the gradient cache scores the same images with the same weights
train --out cached -s micro_batch_size=8 -s eval.batch_size=6
[ "$(field step loss cached/events.jsonl | sed -n 1p | cut -c1-6)" = "$(echo "$first" | cut -c1-6)" ] ||
  fail "in micro-batches the first loss is $(field step loss cached/events.jsonl | sed -n 1p), not $first"

# counted: scoring (3 x 3 patches and a class token, one whole block and part of another), and the average's memory
"$FLIP" plan --config run.yaml > plan.txt
grep -q '^  scoring of patches ' plan.txt || fail "the plan does not count scoring: $(cat plan.txt)"
grep -q '^  average image tower ' plan.txt || fail "the plan does not count the average: $(cat plan.txt)"
grep -q '(3 x forward + scoring)' plan.txt || fail "$(cat plan.txt)"
[ -n "$(grep '"event":"start"' whole/events.jsonl | grep -oE '"scoring":[0-9]+')" ] || fail "the record has no FLOPs of scoring"

# mask ratio 0: nothing to choose
train --out unmasked -s mask_ratio=0
grep -q 'average/' "$(newest unmasked)" && fail "there is an average with nothing to choose"
train --out plain -s mask_ratio=0 -s mask_mode=random
[ "$(field step loss plain/events.jsonl | tail -1)" = "$(field step loss unmasked/events.jsonl | tail -1)" ] ||
  fail "the mode changed a run without a mask"
"$FLIP" plan --config run.yaml -s mask_ratio=0 >plan.txt || fail "flip plan"
grep -E 'scoring|average' plan.txt && fail "the plan has an average that does not exist"

# tuning on whole images from it, evaluation and export need no average
train --out tuned -s init_from=whole/checkpoints -s mask_ratio=0 -s samples=64 -s warmup_samples=0
"$FLIP" eval -m whole > /dev/null
"$FLIP" bench step --config run.yaml --steps 1 > bench.txt || fail "flip bench step: $(cat bench.txt)"
# scoring is a part of the step, not of its rest: none at mask 0
grep -q '  scoring ms  ' bench.txt || fail "scoring is no part of the step: $(cat bench.txt)"
"$FLIP" bench step --config run.yaml --steps 3 --json > bench.json
[ "$(grep -c '"scoring_seconds":[0-9.e-]*[1-9]' bench.json)" = 2 ] || fail "scoring is timed in other rows: $(cat bench.json)"
sed -E 's/.*"step_seconds":([^,]*),.*"scoring_seconds":([^,]*),"optimizer_seconds":([^,]*),.*/\1 \2 \3/' bench.json | tail -2 |
  awk '{ if ($2 <= 0 || $3 < -0.5 * $1) exit 1 }' || fail "the parts are $(cat bench.json)"

expect_status 2 "$FLIP" train --config run.yaml --out wrong -s attentive.size=10
expect_line err.txt 'attentive.size: 10 must be a multiple of image.patch 4 and at most image.size 24'
expect_status 2 "$FLIP" train --config run.yaml --out wrong -s attentive.cell=4
expect_line err.txt 'attentive.cell: 4 does not divide the 6 patches of a row'
