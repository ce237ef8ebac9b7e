# flip finetune: a classifier from a trained image tower, with everything of FLIP's Table 12 at once. It
# learns, it is evaluated as often as requested, killed and stopped runs resume with the same bits, and
# settings that do not fit are rejected by name.
. "$SOURCE/tests/support/training.sh"
make_data
train --out pre -s eval.probe_train=train.yaml -s eval.probe_epochs=3 2> message && fail "there is no train.yaml"
grep -q 'train.yaml' message || fail "$(cat message)"
rm -r pre
for part in train heldout; do
  printf 'name: %s\nimages: [data/%s-*.tar]\ntasks: [probe, zeroshot]\nlabel: color\ntemplates: ["a {}"]\n' \
    $part $part > $part.yaml
done

# the linear probe behind the last evaluation is that of flip eval
train --out pre -s 'eval.sets=[heldout.yaml]' -s eval.probe_train=train.yaml -s eval.probe_epochs=3
[ "$(grep -c '"task":"probe"' pre/events.jsonl)" = 1 ] || fail "not one probe"
"$FLIP" eval probe -m pre --train train.yaml -f heldout.yaml --method lars --epochs 3 --json > probe.json
[ "$(grep -oE '"task":"probe","metrics":\{"top1":[0-9.e-]*' pre/events.jsonl | cut -d: -f4)" = \
  "$(grep -oE '"probe":\{"top1":[0-9.e-]*' probe.json | cut -d: -f3)" ] ||
  fail "another probe than flip eval's: $(cat probe.json)"

words=(finetune -m pre --train train.yaml --test heldout.yaml --no-progress -s batch_size=32 -s epochs=8
       -s warmup_epochs=1 -s learning_rate=2e-3 -s eval.points=4 -s data.crop_min=0.5 -s checkpoint.every_samples=64)
finetune() { "$FLIP" "${words[@]}" "$@"; }
finetune --out whole --json > whole.json
[ "$(grep -c '"task":"classification"' whole/events.jsonl)" = 4 ] || fail "not four evaluations"
grep -q '"classes":10,' whole.json || fail "$(cat whole.json)"
[ "$(field step logit_scale whole/events.jsonl | wc -l)" = 0 ] || fail "a classifier has a temperature"
grep -q 'image.projection' "$(newest whole)" && fail "the projection is still there"
grep -q 'head.bias' "$(newest whole)" || fail "there is no head"
field step loss whole/events.jsonl > losses
[ "$(wc -l < losses)" = 40 ] || fail "40 updates, $(wc -l < losses) losses"
# the first logits are nearly 0: log(10)
awk 'NR == 1 { exit !($1 > 2.28 && $1 < 2.32) }' losses || fail "the first loss is $(head -1 losses)"

# killed after some steps and resumed; stopped by a signal and resumed
for signal in KILL TERM; do
  cut_after 7 $signal $signal "$FLIP" "${words[@]}" --out $signal > /dev/null 2>&1
  finetune --out $signal --resume > /dev/null
  cmp "$(newest whole)" "$(newest $signal)" || fail "resuming after SIG$signal changed the bits"
done

# without augmentation it learns; with layer-wise rates the patches change less
plain=(-s classification.mixup=0 -s classification.cutmix=0 -s classification.drop_path=0 -s classification.augment_magnitude=0)
finetune --out plain "${plain[@]}" -s epochs=24 -s learning_rate=4e-3 > plain.txt
field step loss plain/events.jsonl | awk 'NR == 1 { first = $1 } END { exit !($1 < 0.8 * first) }' ||
  fail "the loss did not fall: $(field step loss plain/events.jsonl | tail -1)"
grep -qE 'heldout +classification  top-1 ' plain.txt || fail "$(cat plain.txt)"

# in micro-batches: the same sums in another order
finetune --out parts -s micro_batch_size=8 > /dev/null
field step loss parts/events.jsonl | paste - losses | head -3 |
  awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-4) exit 1 }' || fail "micro-batches changed the loss"

refused() { # MESSAGE ARGUMENTS…
  local wanted=$1; shift
  finetune --out refused "$@" > /dev/null 2> message && fail "not refused: $*"
  grep -q -- "$wanted" message || fail "$(cat message)"
  rm -rf refused
}
refused 'classification.classes: 11, but train.yaml has 10 classes' -s classification.classes=11
refused 'mask_ratio: 0.5 with classification.classes' -s mask_ratio=0.5
refused 'classification.mix_batch: 12 does not divide batch_size 32' -s classification.mix_batch=12
refused 'eval.probe_train=train.yaml: flip finetune fits no probe' -s eval.probe_train=train.yaml
refused 'init_from: .*is of a model with image.width: 32, and this run has 16, for which its weights have another shape' -s image.width=16
refused 'data.order: stream with classification.classes' -s data.order=stream
finetune --out whole --resume -s classification.drop_path=0.1 > /dev/null 2> message && fail "resumed with another drop path"
grep -q 'classification.drop_path: 0.2, this run has 0.1' message || fail "$(cat message)"
finetune --out whole --resume -s classification.augment_magnitude=0 > /dev/null 2> message && fail "resumed without augmentation"
grep -q 'classification.augment_magnitude: 9, this run has 0' message || fail "$(cat message)"
"$FLIP" eval -m whole > /dev/null 2> message && fail "a classifier has no embeddings"
grep -q 'is a classifier of 10 classes' message || fail "$(cat message)"

# a setting of classifiers that is asked for without one
for setting in classification.drop_path=0.3 classification.mixup=0.8 classification.train=train.yaml; do
  train --out refused -s $setting 2> message && fail "not refused: $setting"
  grep -q -- "--set $setting: has no effect in contrastive training" message || fail "$(cat message)"
done
[ ! -e refused ] || fail "refused, and yet the folder was made"

# --json names what was used, which --set may have changed
finetune --out json --json -s epochs=1 -s warmup_epochs=0 -s classification.train=heldout.yaml -s 'init_from=""' > out.json
grep -q '"model":"","train":"heldout.yaml"' out.json || fail "$(cat out.json)"

# a metric of scores is not measured by a classifier: one warning, on stderr and as an event
printf 'name: pair\nimages: [data/heldout-*.tar]\ntasks: [probe, zeroshot]\nlabel: color\nclasses: [blue, red]\nmetric: roc_auc\ntemplates: ["a {}"]\n' > pair.yaml
finetune --out metric -s epochs=2 -s warmup_epochs=0 -s 'eval.sets=[pair.yaml]' > /dev/null 2> message
wanted='pair: metric: roc_auc is only measured zero-shot'
[ "$(grep -c "$wanted" message)" = 1 ] || fail "$(cat message)"
[ "$(grep -c "\"warning\".*\"evaluation\".*$wanted" metric/events.jsonl)" = 1 ] || fail "no event: $(cat metric/events.jsonl)"
"$FLIP" eval probe -m pre --train pair.yaml -f pair.yaml --c 1 > /dev/null 2> message
[ "$(grep -c "$wanted" message)" = 1 ] || fail "$(cat message)"

# a batch of more images than there are: one warning, also of contrastive training
few() { # FOLDER MESSAGE
  [ "$(grep -c "$2" message)" = 1 ] || fail "$(cat message)"
  [ "$(grep -c "\"warning\".*\"data\".*$2" $1/events.jsonl)" = 1 ] || fail "no event: $(cat $1/events.jsonl)"
}
finetune --out few -s batch_size=512 -s eval.points=1 > /dev/null 2> message
few few 'batch_size: 512 is more than the 160 training samples'
train --out crowd -s batch_size=256 -s samples=256 2> message
few crowd 'batch_size: 256 is more than the 160 training samples: a batch has copies of them, each a negative'
finetune --out enough -s epochs=1 -s warmup_epochs=0 -s eval.points=1 > /dev/null 2> message
! grep -q 'is more than' message || fail "$(cat message)"

# The model was trained further since, and its checkpoint is gone: the interrupted run goes on from its
# own, by the same command.
train --out later -s samples=320 -s checkpoint.keep=1
words[2]=later
finetune --out unbroken > /dev/null
cut_after 7 TERM cut "$FLIP" "${words[@]}" --out cut > /dev/null 2>&1
first=$(newest later)
for file in later/checkpoints/step-*; do mv "$file" "${file/step-??????/step-999999}"; done
[ ! -e "$first" ] && [ -e "$(newest later)" ] || fail "the checkpoint was not replaced: $first"
finetune --out cut --resume > /dev/null || fail "not resumed after the model's run went on"
cmp "$(newest unbroken)" "$(newest cut)" || fail "resuming changed the bits"
finetune --out fresh -s epochs=1 -s warmup_epochs=0 > /dev/null
grep -q "init_from: .*$(basename "$(newest later)")" fresh/config.yaml || fail "a new run starts from the newest"

# Paths are taken as they are: " #" begins a comment in YAML, ": " a map, a backslash is an escape.
cp -r pre 'pre #2' && cp train.yaml 'tr: a\b.yaml' && cp heldout.yaml 'a\b #1.yaml'
"$FLIP" finetune -m 'pre #2' --train 'tr: a\b.yaml' --test 'a\b #1.yaml' --out named -s batch_size=32 -s epochs=1 -s warmup_epochs=0 \
  -s threads=1 --no-progress --json > named.json
expect_line named.json '"model":"[^"]*pre #2/checkpoints/step-[0-9]+.safetensors","train":"tr: a\\\\b.yaml"'
grep -q 'init_from.*pre #2/' named/config.yaml || fail "another model was tuned: $(grep init_from named/config.yaml)"
expect_line named.json '"set":"heldout"'
! "$FLIP" finetune -m pre --train 'train.yaml #x' --out unnamed --no-progress 2> /dev/null || fail "a file that is not there was read"
# what was not evaluated has no step
"$FLIP" finetune -m pre --train train.yaml --out unseen -s batch_size=32 -s epochs=1 -s warmup_epochs=0 -s eval.points=0 --no-progress --json > unseen.json
expect_line unseen.json '"step":null,"sets":\[\]'
