. "$SOURCE/tests/support/training.sh"
make_data
train --out a; train --out b
cmp "$(newest a)" "$(newest b)" || fail "the same run gave another checkpoint"
[ "$(field step loss a/events.jsonl)" = "$(field step loss b/events.jsonl)" ] || fail "losses differ"
train --out c --set seed=1
cmp -s "$(newest a)" "$(newest c)" && fail "another seed gave the same checkpoint"

# Loader workers and prefetching change nothing; masks, crops and order do not depend on threads,
# so the losses agree to rounding.
train --out d --set data.workers=3 --set data.prefetch=2 --set data.cache_mib=0
[ "$(field step loss a/events.jsonl)" = "$(field step loss d/events.jsonl)" ] || fail "loader workers changed the losses"
train --out e --set threads=1
paste <(field step loss a/events.jsonl) <(field step loss e/events.jsonl) |
  awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-3) bad = 1; n++ } END { exit bad || n != 20 }' ||
  fail "another thread count gave other losses"

# An exact gradient cache: micro-batches of 8 give the losses of the whole batch.
train --out f --set micro_batch_size=8
paste <(field step loss a/events.jsonl) <(field step loss f/events.jsonl) |
  awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-3) bad = 1; n++ } END { exit bad || n != 20 }' ||
  fail "the gradient cache changed the losses"

# The end event sums up; flip eval repeats the run's own last evaluation.
expect_line a/events.jsonl '"event":"end".*"status":"finished".*"samples":640'
run=$(field eval mean_per_class a/events.jsonl | tail -1)
again=$("$FLIP" eval zeroshot --model a --json | grep -oE '"mean_per_class":[^,}]*' | cut -d: -f2)
[ "$run" = "$again" ] || fail "flip eval gives $again, training gave $run"

# Evaluation uses the memory of training's activations: how often and on how many at once changes nothing.
often=(--set eval.points=7 --set eval.batch_size=40)
train --out g "${often[@]}"
[ "$(field eval step g/events.jsonl | uniq | wc -l)" = 7 ] || fail "not 7 evaluations"
[ "$(field step loss a/events.jsonl)" = "$(field step loss g/events.jsonl)" ] || fail "evaluations changed the losses"
train --out h "${often[@]}" --set micro_batch_size=8
[ "$(field step loss f/events.jsonl)" = "$(field step loss h/events.jsonl)" ] || fail "evaluations between micro-batches changed the losses"

# What is recomputed has the bits of what would be kept, in each precision.
for precision in fp32 bf16 fp8; do
  for level in 0 norms activations blocks; do
    train --out "$precision-$level" --set samples=160 --set precision=$precision --set image.recompute=$level \
      --set text.recompute=$level
    [ "$(field step loss "$precision-0/events.jsonl" | wc -l)" = 5 ] || fail "not 5 steps"
    cmp <(field step loss "$precision-0/events.jsonl") <(field step loss "$precision-$level/events.jsonl") ||
      fail "recomputing $level in $precision changed the losses"
  done
done
