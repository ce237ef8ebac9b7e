# Shared by the training tests: a tiny data set, a vocabulary and a run file in the folder.
make_data() {
  "$FLIP" data scenes --out data --count 160 --seed 1 --split train --size 24 --no-progress >/dev/null
  "$FLIP" data scenes --out data --count 40 --seed 1 --split heldout --size 24 --no-progress >/dev/null
  "$FLIP" tokenizer train --out vocab.txt --size 300 'data/train-*.tar' >/dev/null
  cat > held.yaml <<'Y'
name: scenes
images: [data/heldout-*.tar]
tasks: [zeroshot, retrieval]
label: shape
templates: ["a {}", "{}"]
Y
  cat > run.yaml <<'Y'
image: {size: 24, patch: 4, width: 32, layers: 2, heads: 2}
text: {width: 32, layers: 1, heads: 2, length: 12, vocabulary: vocab.txt}
embed_dim: 16
batch_size: 32
samples: 640
warmup_samples: 64
learning_rate: 1.0e-3
mask_ratio: 0.5
data.train: ["data/train-*.tar"]
eval: {sets: [held.yaml], points: 2}
threads: 2
precision: fp32
Y
}
train() { "$FLIP" train --config run.yaml --no-progress "$@"; }
# In the background as a process of its own, so that a signal reaches it: sets pid.
train_behind() { "$FLIP" train --config run.yaml --no-progress "$@" & pid=$!; }
newest() { ls "$1"/checkpoints/*.safetensors | tail -1; }
# As earlier versions wrote them: without a checksum of the header, which the caller changes.
without_checksum() { LC_ALL=C sed -i 's/"flip\.checksum"/"flip.nochecks"/' "$@"; }
# field EVENT NAME FILE: the values of a field over all events of a kind.
field() { grep "\"event\":\"$1\"" "$3" | grep -oE "\"$2\":[^,}]*" | cut -d: -f2- | tr -d '"'; }
