# A resumed run must have the data, the vocabulary and the first weights that it began with; a
# new run does not use another run's folder; one that does not fit into memory does not start.
. "$SOURCE/tests/support/training.sh"
make_data
cp data/train-00000.tar own.tar
cp run.yaml whole.yaml
sed -i 's|^data.train:.*|data.train: [own.tar]|' run.yaml
# In the middle: as a stop leaves it, made by hand. KEEP the checkpoint of step 10 alone.
half() { rm -rf "$1"; train --out "$1" --set checkpoint.every_samples=320 --set checkpoint.keep=9 "${@:2}"; rm "$1"/checkpoints/step-00000002*; }
refused() { # PATTERN option…
  expect_status 2 "$FLIP" train --config run.yaml --no-progress "${@:2}"
  expect_line err.txt "$1"
  [ "$(grep -c . err.txt)" = 1 ] || { cat err.txt; fail "more than a line"; }
}

# Another shard of the same size under the same name: one byte of an image is enough.
half run
size=$(stat -c %s own.tar)
printf '\377' | dd of=own.tar bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
cmp -s own.tar data/train-00000.tar && fail "the shard did not change"
[ "$(stat -c %s own.tar)" = "$size" ] || fail "the size changed"
refused 'step-000000010.safetensors was trained on other data: 160 samples .fingerprint [0-9a-f]{12}….*own.tar.*Restore the earlier data' --out run --resume
cp data/train-00000.tar own.tar
train --out run --resume
cmp "$(newest run)" <(train --out again >/dev/null; cat "$(newest again)") || fail "other bits after the data was put back"

# Fewer samples, by epochs: the message says so.
half epochs --set samples=0 --set epochs=4
tar xf own.tar && tar cf own.tar --sort=name 000000[0-3]*
refused 'trained on other data: 160 samples .*now gives 40 .*With epochs: 4' --out epochs --resume --set samples=0 --set epochs=4
rm epochs/checkpoints/*.state.json # nothing to compare with: its length tells
refused 'step-000000010.safetensors is at step 10, and this run ends at step 5 .epochs: 4 of 40 samples' --out epochs --resume --set samples=0 --set epochs=4
grep -qi memory err.txt && fail "reported as out of memory"
cp data/train-00000.tar own.tar

# Another vocabulary of as many entries; other first weights.
cp vocab.txt kept.txt
half words
sed -i '$s/.*/zzz/' vocab.txt
refused 'was made with another vocabulary: fingerprint .*vocab.txt now has' --out words --resume
cp kept.txt vocab.txt
cp "$(newest again)" first.safetensors
half tuned --set init_from=first.safetensors
cp "$(newest words)" first.safetensors
refused 'was made with another init_from: fingerprint .*first.safetensors now has' --out tuned --resume --set init_from=first.safetensors
rm first.safetensors # gone, and not needed any more
train --out tuned --resume --set init_from=first.safetensors

# An evaluation set may differ, and is recorded.
sed -i 's/"a {}"/"the {}"/' held.yaml
train --out words --resume 2>warned.txt
expect_line warned.txt 'evaluation set scenes has changed'
expect_line words/events.jsonl '"event":"warning".*"kind":"resumed","message":"evaluation set scenes has changed'

# Two sets of one name, which earlier versions recorded, do not keep a run from being resumed.
cp -r words twice
sed -i 's/"evaluation_fingerprints": *{ *\("scenes": *"[^"]*"\)/&,\1/' twice/checkpoints/*.state.json
[ "$(grep -o '"scenes"' twice/checkpoints/*.state.json | wc -l)" = 2 ] || fail "no set is recorded twice"
train --out twice --resume

# A used folder is refused, and left as it was.
before=$(cat again/events.jsonl again/config.yaml again/checkpoints/* | sha256sum)
refused 'again already holds a run at step 20 .640 samples. of other settings .samples: 640, this run has 64.: --resume continues it' --out again --set samples=64
refused 'again already holds a run at step 20 .640 samples.: --resume continues it' --out again
[ "$(cat again/events.jsonl again/config.yaml again/checkpoints/* | sha256sum)" = "$before" ] || fail "the folder was touched"

# More memory than available: for the activations, or for the batches that are read ahead, whatever the micro-batch.
expect_status 1 "$FLIP" train --config run.yaml --no-progress --out large --set batch_size=3000000 --set samples=3000000 --set warmup_samples=0 --set data.prefetch=100
expect_line err.txt 'the run needs an estimated [0-9.]+ .iB of memory, .*: no micro-batch is small enough; .data.prefetch . 1. batches'
expect_status 1 "$FLIP" train --config run.yaml --no-progress --out large --set batch_size=500000 --set samples=500000 --set warmup_samples=0 \
  --set data.prefetch=1 --set image.layers=64
expect_line err.txt 'the run needs an estimated [0-9.]+ .iB of memory, but [0-9.]+ .iB are (available|available to this control group): it would fit with micro_batch_size'
