# data.order: stream with real shards: the same bits however it is threaded, stopped or killed; what
# it cannot do is refused by name, and what it passes over is counted.
. "$SOURCE/tests/support/training.sh"
make_data
mkdir shards
tar xf data/train-00000.tar --one-top-level=parts
for i in 0 1 2 3 4; do # shards of 40, 30, 30, 30, 30
  tens=$(seq $((i ? 3 * i + 1 : 0)) $((3 * i + 3)))
  (cd parts && tar cf ../shards/part-$i.tar --sort=name $(for t in $tens; do ls "$(printf %07d "$t")"*; done))
done
sed -i 's|^data.train:.*|data.train: ["shards/part-{0..4}.tar"]\ndata: {order: stream, buffer: 48}|; s/^samples: 640/samples: 1600/' run.yaml
echo 'checkpoint.every_samples: 160' >> run.yaml
train --out whole
train --out threads --set data.workers=4
cmp <(tensors "$(newest whole)") <(tensors "$(newest threads)") || fail "four loader threads changed the bits"
expect_line whole/events.jsonl '"kind":"data","message":"data.order: stream: shards are shuffled, then samples among 48 .data.buffer.: .*its length is not known'
expect_line whole/events.jsonl '"kind":"data","message":"epoch 9 had 160 samples in 5 shards; 0 left out"'
expect_line whole/events.jsonl '"event":"start".*"data_samples":0'

# Stopped and resumed, and killed outright.
stopped_at() { # FOLDER STEP SIGNAL
  train_behind --out "$1" --resume
  for _ in $(seq 600); do
    [ -f "$1/events.jsonl" ] && [ "$(field step step "$1/events.jsonl" | tail -1)" -ge "$2" ] 2>/dev/null && break
    sleep 0.05
  done
  kill -"$3" $pid 2>/dev/null || true
  wait $pid 2>/dev/null || true
}
stopped_at asked 13 TERM
train --out asked --resume
expect_line asked/events.jsonl '"event":"end".*"status":"interrupted"'
cmp "$(newest whole)" "$(newest asked)" || fail "resuming after SIGTERM changed the bits"
stopped_at killed 8 KILL
stopped_at killed 31 KILL
train --out killed --resume --set data.workers=3
[ "$(grep -c '"event":"start"' killed/events.jsonl)-$(grep -c '"event":"end"' killed/events.jsonl)" = 3-1 ] ||
  fail "the run was not killed twice in the middle"
cmp <(tensors "$(newest whole)") <(tensors "$(newest killed)") || fail "resuming after SIGKILL changed the bits"
train --out exact --set data.order=exact --set data.buffer=10000
cmp -s "$(newest whole)" "$(newest exact)" && fail "the exact order is another"
[ "$(field start data_fingerprint exact/events.jsonl)" = "$(field start data_fingerprint whole/events.jsonl)" ] ||
  fail "the same data has two fingerprints"

# Pipes give what the files give.
train --out piped --set 'data.train=["pipe:cat shards/part-{0..4}.tar"]' --set data.allow_pipes=true
[ "$(field step loss whole/events.jsonl | md5sum)" = "$(field step loss piped/events.jsonl | md5sum)" ] ||
  fail "pipes train otherwise than files"

# A command that fails is a failure to read, after which the run continues; one that ends when a stop is
# requested is none. It waits until the training waits for its shard.
cat > fetch.sh <<'S'
echo >> opened
n=$(wc -l < opened)
cat "shards/part-$1.tar"
if [ "$n" -ge 14 ] && mkdir failed 2> /dev/null; then exit 3; fi
if [ "$n" -ge 28 ] && mkdir stopped 2> /dev/null; then sleep 2; kill -TERM $PPID; exit 3; fi
S
fetch() { train --out fetched --resume --set 'data.train=["pipe:exec sh fetch.sh {0..4}"]' --set data.allow_pipes=true; }
expect_status 1 fetch
expect_line fetched/events.jsonl '"event":"end".*"status":"failed","kind":"io","message":".*fetch.sh [0-4]: the command exited with status 3'
expect_status 130 fetch
expect_line fetched/events.jsonl '"event":"end".*"status":"interrupted","message":"stopped after step'
fetch
cmp <(tensors "$(newest whole)") <(tensors "$(newest fetched)") || fail "a command that failed changed the bits"

# Epochs need a length: given by the counts next to the shards, or refused with the remedy.
expect_status 2 train --out epochs --set samples=0 --set epochs=3
expect_line err.txt 'epochs: 3 needs the length of an epoch.*shards/part-0.tar has no count.*_stats.json.*Give samples'
train --out given --set samples=0 --set epochs=2 --set epoch_samples=160
expect_line given/events.jsonl '"event":"start".*"total_steps":10,'
echo '{"part-0.tar": 40, "part-1.tar": 30, "part-2.tar": 30, "part-3.tar": 30, "part-4.tar": 35}' > shards/sizes.json
train --out counted --set samples=0 --set epochs=2
expect_line counted/events.jsonl '"event":"start".*"data_samples":165,'
expect_line counted/events.jsonl 'epoch 1 had 160 samples in 5 shards, but the counts next to the shards give 165; 0 left out'
sed -i 's/35/30/' shards/sizes.json
train --out half --set samples=0 --set epochs=2 --set checkpoint.keep=9
rm half/checkpoints/step-000000010*
sed -i 's/"part-4.tar": 30/"part-4.tar": 80/' shards/sizes.json
expect_status 2 train --out half --resume --set samples=0 --set epochs=2
expect_line err.txt 'the counts next to the shards gave 160 samples, and now give 210: the length of the run would change'
rm shards/sizes.json

# Passed over, left out, undecodable: named, and the rest is trained on.
mkdir odd && echo text > odd/a.txt && echo x > odd/b.jpg && echo broken > odd/b.txt && echo 3 > odd/b.cls
tar cf shards/part-1.tar -C odd a.txt b.jpg b.txt b.cls
tar rf shards/part-1.tar -C parts $(cd parts && ls 00000040.*)
train --out odd-run
expect_line odd-run/events.jsonl 'skipped_sample.*shards/part-1.tar: sample a has no image'
expect_line odd-run/events.jsonl 'skipped_sample.*part-1.tar: 1 member skipped: 1 .cls'
expect_line odd-run/events.jsonl 'skipped_sample.*part-1.tar: b: not a JPEG'
expect_line odd-run/events.jsonl 'epoch 1 had 132 samples in 5 shards; 1 left out'

# Another shard than the checkpoint's is refused, as in the exact order.
expect_status 2 train --out killed --resume
expect_line err.txt 'was trained on other data: samples that were not counted .fingerprint'

# What the order cannot do.
expect_status 2 train --out no --set data.resample=true
expect_line err.txt 'data.resample: true .* needs data.order: exact'
expect_status 2 train --out no --set text_mask_mode=frequency --set text_mask_ratio=0.5
expect_line err.txt 'text_mask_mode: frequency .* needs data.order: exact'
expect_status 2 train --out no --set data.order=exact
expect_line err.txt 'data.buffer: 48 has no effect with data.order: exact'
expect_status 2 train --out killed --resume --set data.buffer=64
expect_line err.txt 'data.buffer: 48, this run has 64'
