# What a file or a command asks for happens, or it is refused: nothing is replaced without a word.
. "$SOURCE/tests/support/training.sh"
make_data
sed 's/"{}"/"some {}"/' held.yaml > shifted.yaml

# Results are recorded by a set's name.
expect_status 2 "$FLIP" train --config run.yaml --no-progress --out two -s 'eval.sets=[held.yaml, shifted.yaml]'
expect_line err.txt "eval.sets: held.yaml and shifted.yaml have the same name, 'scenes'"
expect_status 2 "$FLIP" train --config run.yaml --no-progress --out two -s eval.probe_train=shifted.yaml
expect_line err.txt "eval.probe_train: held.yaml and shifted.yaml have the same name, 'scenes'"
sed -i 's/^name: .*/name: shifted/' shifted.yaml
train --out two -s 'eval.sets=[held.yaml, shifted.yaml]' -s samples=64 -s warmup_samples=0 -s eval.points=1

# A warm-up below one update is none.
expect_status 0 "$FLIP" train --config run.yaml --no-progress --out cold -s samples=64 -s warmup_samples=31 -s eval.points=0
expect_line err.txt 'warmup_samples: 31 are less than one update of batch_size 32: there is no warm-up'
expect_status 0 "$FLIP" train --config run.yaml --no-progress --out warm -s samples=64 -s warmup_samples=32 -s eval.points=0
! grep warm-up err.txt || fail "a warm-up of one update is said to be none"

# Weights go on in a model that computes the same from them.
for other in image.heads=4 image.activation=gelu_erf text.pool=mean text.causal=true; do
  expect_status 2 "$FLIP" train --config run.yaml --no-progress --out other -s init_from=two/checkpoints -s text.pool=mean -s $other
  expect_line err.txt "init_from: .*is of a model with ${other%=*}: .*, and this run has ${other#*=}, .*set ${other%=*}:"
done
# What decides on the shapes of its tensors is named with both values; a patch and an image size are resized.
for other in text.length=16 embed_dim=8 image.width=16 image.layers=1 image.layers=3 image.mlp_ratio=2 text.width=16 \
  text.layers=2 text.mlp_ratio=8 text.vocabulary_rows=400; do
  expect_status 2 "$FLIP" train --config run.yaml --no-progress --out other -s init_from=two/checkpoints -s $other
  expect_line err.txt "init_from: .*is of a model with ${other%=*}: .*, and this run has ${other#*=}, for which its weights have another shape; set ${other%=*}: [0-9]*$"
done
expect_status 0 "$FLIP" train --config run.yaml --no-progress --out fits -s init_from=two/checkpoints -s image.mlp_ratio=4.001 -s image.size=32 -s samples=64 -s warmup_samples=0 -s eval.points=0
# What they are given may differ, and is said.
expect_status 0 "$FLIP" train --config run.yaml --no-progress --out given -s init_from=two/checkpoints -s image.normalization=none -s text.special_tokens=both -s samples=64 -s warmup_samples=0 -s eval.points=1
expect_line err.txt '^flip: init_from: .* was trained with image.normalization: imagenet, and this run has none'
expect_line err.txt '^flip: init_from: .* was trained with text.special_tokens: none, and this run has both'
# So it is where a model is used: --set makes no other model of it, and says what it is given otherwise.
printf 'a red star\n' > star.txt
expect_status 0 "$FLIP" embed -m two -t star.txt -o star.npy -s image.heads=2 -s text.norm_eps=1.0e-6 # as it is
[ ! -s err.txt ] || { cat err.txt; fail "nothing was changed"; }
for other in image.heads=4 image.pool=class image.activation=quick_gelu image.norm_eps=0.1 text.heads=4 text.causal=true \
  text.pool=mean text.activation=gelu_erf text.padding_mask=true text.norm_eps=0.1 text.tokenizer=bpe; do
  for command in 'eval -f held.yaml' 'embed -t star.txt -o other.npy' 'retrieve -t star -i data' 'convert -o other -f flip -i two' \
    'dream -t star -o other.png --steps 1 --views 2 --no-progress'; do
    model='-m two'
    [ "${command%% *}" != convert ] || model=
    expect_status 2 "$FLIP" $command $model -s $other
    expect_line err.txt "[-][-]set $other: two/checkpoints/.*is of a model with ${other%=*}: [^ ]*, and its weights would compute something else"
  done
done
expect_status 0 "$FLIP" eval -m two -f held.yaml -s image.normalization=none -s text.special_tokens=both -s normalize=false
for given in 'image.normalization: imagenet, and is used with none' 'text.special_tokens: none, and is used with both' 'normalize: true, and is used with false'; do
  expect_line err.txt "flip: warning: two/checkpoints/.* was trained with $given"
done
expect_status 0 "$FLIP" convert -i two -o other.safetensors -f flip -s image.normalization=none
expect_line err.txt 'two/checkpoints/.* was trained with image.normalization: imagenet, and is used with none'
# The same number of words in another order is another embedding.
{ head -n -2 vocab.txt; tail -1 vocab.txt; tail -2 vocab.txt | head -1; } > turned.txt
expect_status 2 "$FLIP" train --config run.yaml --no-progress --out other -s init_from=two/checkpoints -s text.vocabulary=turned.txt
expect_line err.txt 'init_from: two/.*: the model was trained with another vocabulary \([0-9a-f]{12}\) than turned.txt \([0-9a-f]{12}\)'
# So it is for a file without its run, and for a converted one; whoever trained it earlier, its state file knows.
cp "$(newest two)" alone.safetensors
expect_status 0 "$FLIP" convert -i two -o converted.safetensors -f flip
mkdir older && cp two/checkpoints/* older
sed -i 's/flip.vocabulary_fingerprint/flip.vocabulary_fingerprinx/' older/*.safetensors
without_checksum older/*.safetensors
printf 'a red star\n' > texts.txt
for from in two alone.safetensors converted.safetensors older; do
  other_words="$from: the model was trained with another vocabulary \([0-9a-f]{12}\) than turned.txt .*set text.vocabulary to"
  expect_status 2 "$FLIP" embed -m $from -t texts.txt -o x.npy -s text.vocabulary=turned.txt
  expect_line err.txt "$other_words"
  expect_status 2 "$FLIP" eval -m $from -f held.yaml -s text.vocabulary=turned.txt
  expect_line err.txt "$other_words"
  expect_status 0 "$FLIP" embed -m $from -t texts.txt -o x.npy
  expect_status 2 "$FLIP" train --config run.yaml --no-progress --out other -s init_from=$from -s text.vocabulary=turned.txt
  expect_line err.txt 'the model was trained with another vocabulary'
done
rm older/*.state.json # unknown words may be any
expect_status 0 "$FLIP" embed -m older -t texts.txt -o x.npy -s text.vocabulary=turned.txt
# At the recorded path, too; a file that lists the same words will do.
cp vocab.txt kept.txt
cp turned.txt vocab.txt
expect_status 2 "$FLIP" embed -m two -t texts.txt -o x.npy
expect_line err.txt 'two: the model was trained with another vocabulary .* than vocab.txt'
cp kept.txt vocab.txt
sed 's/$/\r/' vocab.txt > returns.txt
expect_status 0 "$FLIP" embed -m two -t texts.txt -o x.npy -s text.vocabulary=returns.txt
train --out again -s init_from=two/checkpoints -s mask_ratio=0 -s loss_direction=image_to_text -s samples=64 -s warmup_samples=0 -s eval.points=1

# A constant temperature is that of the settings, whatever the start had; a learned one goes on from there, and this is said.
for t in 0.5 0.1; do
  train --out constant$t -s init_from=two/checkpoints -s temperature_learned=false -s temperature=$t -s samples=64 -s warmup_samples=0 -s eval.points=1 2> said.txt
  field step logit_scale constant$t/events.jsonl |
    awk -v t=$t '{ d = $1 * t - 1; if (d > 1e-5 || d < -1e-5) bad = 1 } END { exit bad || NR != 2 }' || fail "the temperature is not $t"
  grep -q 'temperature' said.txt && { cat said.txt; fail "a constant temperature was remarked on"; }
done
expect_status 0 "$FLIP" train --config run.yaml --no-progress --out learned -s init_from=two/checkpoints -s temperature=0.5 -s samples=64 -s warmup_samples=0 -s eval.points=1
expect_line err.txt 'init_from: the temperature goes on from the 0.0[67][0-9]* of two/.*, and temperature: 0.5 has no effect'
expect_status 0 "$FLIP" train --config run.yaml --no-progress --out silent -s init_from=two/checkpoints -s samples=64 -s warmup_samples=0 -s eval.points=1
grep -q 'temperature' err.txt && fail "nothing else was asked for"

# --set precision decides the type in which a model is evaluated.
expect_status 0 "$FLIP" embed -m two -i 'data/heldout-*.tar' -o fp32.npy
expect_status 0 "$FLIP" embed -m two -i 'data/heldout-*.tar' -o bf16.npy -s precision=bf16
# A conversion keeps it, as the type of a run.
train --out narrow -s precision=bf16 -s eval.points=0 -s samples=64 -s warmup_samples=0
expect_status 0 "$FLIP" convert -i narrow -o narrow.safetensors -f flip
expect_status 0 "$FLIP" embed -m narrow -i 'data/heldout-*.tar' -o narrow.npy
expect_status 0 "$FLIP" embed -m narrow.safetensors -i 'data/heldout-*.tar' -o again.npy
cmp narrow.npy again.npy || fail "a bf16 run embeds otherwise after conversion"
# Embeddings are of whole images, whatever the run's evaluation drops.
train --out half -s eval.mask_ratio=0.5 -s samples=64 -s warmup_samples=0 -s eval.points=1
expect_status 0 "$FLIP" embed -m half -i 'data/heldout-*.tar' -o half.npy
cmp half.npy fp32.npy || fail "a run that evaluates on half of the patches embeds half of an image"
expect_status 2 "$FLIP" embed -m two -i 'data/heldout-*.tar' -o half.npy -s eval.mask_ratio=0.5
expect_line err.txt 'eval.mask_ratio: only flip eval uses it; here whole images become embeddings'
for given in eval.views=complementary eval.probe_features=encoder; do
  expect_status 2 "$FLIP" embed -m two -i 'data/heldout-*.tar' -o half.npy -s $given
  expect_line err.txt "${given%=*}: only flip eval uses it"
done
for command in embed 'eval zeroshot'; do
  expect_status 2 "$FLIP" $command -m two -s mask_ratio=0.5
  expect_line err.txt '(mask_ratio=0.5: only training uses it; flip eval drops patches by eval.mask_ratio|is missing)'
done
cmp -s fp32.npy bf16.npy && fail "--set precision=bf16 changed no embedding"

# Texts that could not differ, or by their first word piece alone.
for tokens in both none; do
  expect_status 2 "$FLIP" train --config run.yaml --no-progress --out constant -s text.causal=true -s text.special_tokens=$tokens
done
expect_line err.txt 'text.pool: first with text.causal: true .*: of each caption only its first word piece; set text.pool to mean, or'

# A classifier's training images are what the set's file says, or it is refused.
cat > classes.yaml <<'Y'
name: classes
images: [data/train-*.tar]
tasks: [zeroshot]
label: shape
templates: ["{}"]
corruption: {kind: jpeg, strength: 3}
Y
expect_status 2 "$FLIP" train --config run.yaml --no-progress --out head -s classification.classes=12 \
  -s classification.train=classes.yaml -s mask_ratio=0
expect_line err.txt 'classes.yaml: corruption: classifiers are trained on images as they are'

# A tuning starts from its own cell.
cat > tuned.yaml <<'Y'
name: tuned
base: run.yaml
matrix: {seed: [0]}
tuning:
  whole: {from: "${cell}", mask_ratio: 0, init_from: two/checkpoints}
report: {columns: [final_loss]}
Y
expect_status 2 "$FLIPBENCH" check tuned.yaml
expect_line err.txt "tuned.yaml:5:.*tuning 'whole' starts from the weights of the cell that .from. names, so init_from"
sed -i 's/, init_from: [^}]*}/}/' tuned.yaml
expect_status 0 "$FLIPBENCH" check tuned.yaml
expect_status 2 "$FLIPBENCH" run tuned.yaml --dry-run --set-cell 'tuning=whole:init_from=two/checkpoints'
expect_line err.txt "a tuning starts from the weights of its own cell, so init_from would have no effect"
