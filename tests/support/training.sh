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
# cut_after STEP SIGNAL FOLDER command…: the command, a program, trains in FOLDER, and gets the signal once STEP is recorded. Where it had
# ended before, it is tried again: what is resumed afterwards was cut.
cut_after() {
  local step=$1 signal=$2 out=$3
  shift 3
  rm -rf "$out.before"
  [ ! -d "$out" ] || cp -r "$out" "$out.before"
  for _ in $(seq 20); do
    "$@" & pid=$!
    until [ -f "$out/events.jsonl" ] && [ "$(field step step "$out/events.jsonl" | tail -1)" -ge "$step" ] 2>/dev/null; do
      kill -0 $pid 2>/dev/null || break
      sleep 0.02
    done
    kill -$signal $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    grep -q '"status":"finished"' "$out/events.jsonl" || { rm -rf "$out.before"; return 0; }
    rm -rf "$out"
    [ ! -d "$out.before" ] || cp -r "$out.before" "$out"
  done
  fail "$out: it ended each time before it could be cut"
}
newest() { ls "$1"/checkpoints/*.safetensors | tail -1; }
# As earlier versions wrote them: without a checksum of the header, which the caller changes.
without_checksum() { LC_ALL=C sed -i 's/"flip\.checksum"/"flip.nochecks"/' "$@"; }
# field EVENT NAME FILE: the values of a field over all events of a kind.
field() { grep "\"event\":\"$1\"" "$3" | grep -oE "\"$2\":[^,}]*" | cut -d: -f2- | tr -d '"'; }
