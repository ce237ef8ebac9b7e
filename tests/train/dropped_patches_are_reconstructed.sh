# Reconstruction in addition to the contrastive loss: its loss is logged and falls, its cost is planned, a
# killed run resumes with the same bits, a gradient cache changes no loss by more than rounding, and
# without its weight nothing of it is there.
. "$SOURCE/tests/support/training.sh"
make_data
cat >> run.yaml <<'Y'
reconstruction: {weight: 1, width: 16, layers: 1, heads: 2}
checkpoint.every_samples: 64
Y
train --out whole
field step reconstruction_loss whole/events.jsonl > pixels
[ "$(wc -l < pixels)" = 20 ] || fail "20 steps, $(wc -l < pixels) reconstruction losses"
awk 'NR == 1 { first = $1 } END { exit !(first > 0.9 && first < 3 && $1 < 0.97 * first) }' pixels ||
  fail "the reconstruction did not get better: $(head -1 pixels) to $(tail -1 pixels)"

# killed after some steps, and on
cut_after 7 KILL killed "$FLIP" train --config run.yaml --no-progress --out killed
train --out killed --resume
cmp "$(newest whole)" "$(newest killed)" || fail "resuming after SIGKILL changed the bits"
[ "$(field step reconstruction_loss killed/events.jsonl | tail -1)" = "$(tail -1 pixels)" ] ||
  fail "another reconstruction loss after a stop"

# in micro-batches: sums in another order, nothing else
train --out cached -s micro_batch_size=8
field step reconstruction_loss cached/events.jsonl | paste pixels - |
  awk '{ d = ($1 - $2) / $1; if (d < 0) d = -d; if (d > 1e-3) exit 1 }' || fail "the gradient cache changed the reconstruction"

# the same model, with it and without it
"$FLIP" plan --config run.yaml > plan.txt
[ "$(grep -c '^  reconstruction' plan.txt)" = 3 ] || fail "parameters, FLOPs and memory of it are not all in the plan: $(cat plan.txt)"
train --out without -s reconstruction.weight=0
[ -z "$(field step reconstruction_loss without/events.jsonl)" ] || fail "there is a reconstruction without its weight"
[ "$(field step loss without/events.jsonl | sed -n 1p)" = "$(field step loss whole/events.jsonl | sed -n 1p)" ] ||
  fail "the first contrastive loss depends on the reconstruction"
"$FLIP" plan --config run.yaml -s reconstruction.weight=0 >plan.txt || fail "flip plan"
grep reconstruction plan.txt && fail "the plan has a decoder that is not there"

# tuning on whole images continues without the decoder, and evaluation needs none of it
train --out tuned -s init_from=whole/checkpoints -s mask_ratio=0 -s reconstruction.weight=0 -s samples=64 -s warmup_samples=0
"$FLIP" eval -m whole > /dev/null
train --out refused -s mask_ratio=0 2> message && fail "nothing is dropped, and it was to be reconstructed"
grep -q 'needs dropped patches to predict' message || fail "$(cat message)"

# a run with it does not go on without it, nor one without it with it: that would be another run
expect_status 2 train --out whole --resume -s reconstruction.weight=0
expect_line err.txt 'was made with reconstruction.weight: 1, this run has 0; resume with the same settings'
expect_status 2 train --out without --resume
expect_line err.txt 'was made with reconstruction.weight: 0, this run has 1; resume with the same settings'
