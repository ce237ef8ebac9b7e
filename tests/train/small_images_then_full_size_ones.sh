# Training at a lower resolution, tuning and measuring at the full one.
. "$SOURCE/tests/support/training.sh"
make_data
for position in learned sincos; do
  train --out $position.small --set image.position=$position --set image.size=16 --set mask_ratio=0 --set eval.points=0
  grep -q '"event":"end".*"finished"' $position.small/events.jsonl || fail "not trained"
  train --out $position.whole --set image.position=$position --set init_from=$position.small/checkpoints \
    --set samples=64 --set warmup_samples=0 --set learning_rate=1e-9 --set eval.points=1
  # with a rate of next to nothing, tuning leaves what measuring at the full size sees
  expect_status 0 "$FLIP" eval -m $position.small -f held.yaml --set image.size=24 --json
  mv out.txt small.txt
  expect_status 0 "$FLIP" eval -m $position.whole -f held.yaml --json
  diff small.txt out.txt || fail "$position: the two ways to the full size differ"
  expect_status 0 "$FLIP" eval -m $position.small -f held.yaml --json
  cmp -s small.txt out.txt && fail "$position: the size changes nothing"
done
# Tuned with smaller patches than it was trained with (FLIP's L/14, from L/16).
train --out large.patches --set image.patch=6 --set mask_ratio=0 --set eval.points=0 --set samples=3200 --set learning_rate=3e-3
smaller() { train --set image.patch=4 --set mask_ratio=0 --set samples=64 --set warmup_samples=0 --set learning_rate=1e-9 --set eval.points=0 "$@"; }
smaller --out small.patches --set init_from=large.patches/checkpoints
smaller --out fresh.patches
first() { field step loss "$1/events.jsonl" | sed -n 1p; }
awk -v tuned="$(first small.patches)" -v fresh="$(first fresh.patches)" 'BEGIN { exit !(tuned < fresh - 0.1) }' ||
  fail "with resized patches the loss is $(first small.patches), that of fresh weights $(first fresh.patches)"
expect_status 2 "$FLIP" train --config run.yaml --no-progress --out large.patches --resume --set image.patch=4 \
  --set mask_ratio=0 --set eval.points=0 --set samples=3200 --set learning_rate=3e-3
expect_line err.txt 'was made with image.patch: 6, this run has 4'
# A resumed run must keep the size that it started with.
expect_status 2 "$FLIP" train --config run.yaml --no-progress --out learned.small --resume \
  --set image.position=learned --set image.size=24 --set mask_ratio=0 --set eval.points=0
expect_line err.txt 'was made with image.size: 16, this run has 24'

# A run's folder is its newest checkpoint. What the model has no place for is not left out without a word.
train --out continued --set init_from=small.patches --set image.patch=4 --set mask_ratio=0 --set samples=64 --set warmup_samples=0 --set eval.points=0
for change in image.layers=1 image.patch_bias=false image.class_token=false image.position=sincos; do
  for command in "eval -m learned.small -f held.yaml" "convert -i learned.small -o x.safetensors -f flip"; do
    expect_status 2 "$FLIP" $command --set $change --set image.pool=mean
    case $change in
      image.layers=*) expect_line err.txt "tensor 'image\..*' has no place in the model that the settings describe" ;;
      *) expect_line err.txt "set $change: learned.small/checkpoints/.*is of a model with ${change%=*}: [a-z]*, and its weights would compute something else" ;;
    esac
  done
done
expect_status 2 "$FLIP" train --config run.yaml --no-progress --out fewer --set text.layers=0 --set image.layers=1 --set init_from=learned.small
[ ! -e x.safetensors ] || fail "a part of a model was written"
