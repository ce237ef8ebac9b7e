# Under ThreadSanitizer: fine-tuning with mixed images and the probe, and the commands that embed, score and
# evaluate with a model, all on several threads.
. "$SOURCE/tests/support/training.sh"
make_data
for part in train heldout; do
  printf 'name: %s\nimages: [data/%s-*.tar]\ntasks: [probe, zeroshot, retrieval]\nlabel: color\ntemplates: ["a {}"]\n' \
    $part $part > $part.yaml
done
train --out pre -s samples=128 -s 'eval.sets=[heldout.yaml]' -s eval.probe_train=train.yaml -s eval.probe_epochs=3
"$FLIP" finetune -m pre --train train.yaml --test heldout.yaml --out classifier --no-progress -s batch_size=32 \
  -s epochs=2 -s warmup_epochs=1 -s eval.points=2 -s data.crop_min=0.5 -s data.workers=2 -s checkpoint.every_samples=64
[ "$(field step loss classifier/events.jsonl | wc -l)" = 10 ] || fail "not 10 updates"
"$FLIP" eval zeroshot -m pre -f heldout.yaml > /dev/null
"$FLIP" eval retrieval -m pre -f heldout.yaml > /dev/null
for method in lars lbfgs; do "$FLIP" eval probe -m pre --train train.yaml -f heldout.yaml --method $method > /dev/null; done
"$FLIP" embed -m pre --images 'data/heldout-*.tar' -o images.npy
"$FLIP" data filter -m pre --min-score -1 -o scored 'data/heldout-*.tar' --no-progress
