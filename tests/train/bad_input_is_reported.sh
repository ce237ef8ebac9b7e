. "$SOURCE/tests/support/training.sh"
make_data

# A config error names file, line, column and the nearest key; all errors come in one pass.
sed 's/^mask_ratio/mask_rato/; s/^batch_size: 32/batch_size: many/' run.yaml > wrong.yaml
expect_status 2 "$FLIP" train --config wrong.yaml --out x
expect_line err.txt 'wrong.yaml:8:1: unknown setting .mask_rato.'
expect_line err.txt "did you mean 'mask_ratio'"
expect_line err.txt "wrong.yaml:4:13: batch_size: 'many' is not a whole number"
expect_status 2 "$FLIP" train --config run.yaml --out x --set image.patch=5
expect_line err.txt 'image.patch: 5 does not divide image.size 24'
expect_status 2 "$FLIP" train --config run.yaml --out x --set learning_rat=1
expect_line err.txt "did you mean 'learning_rate'"
expect_status 2 "$FLIP" trian
expect_line err.txt "did you mean 'flip train'"

# Members that are no images, truncated or missing are skipped, counted and named.
mkdir bad; cd bad
tar xf ../data/train-00000.tar
extension=png
keys=($(ls *."$extension" | sed "s/\.$extension//"))
echo 'not an image' > "${keys[3]}.$extension"
head -c 200 "${keys[7]}.$extension" > cut && mv cut "${keys[7]}.$extension"
rm "${keys[11]}.$extension"
rm "${keys[13]}.txt"
tar cf ../bad.tar --sort=name *
cd ..
train --out skipping --set 'data.train=[bad.tar]'
expect_line skipping/events.jsonl '"event":"warning","time":"[^"]*","kind":"skipped_sample"'
grep '"kind":"skipped_sample"' skipping/events.jsonl > warnings
expect_line warnings "bad.tar: ${keys[3]}"
expect_line warnings "bad.tar: ${keys[7]}"
expect_line warnings "${keys[11]} has no image"
expect_line warnings "${keys[13]} has no caption"
expect_line skipping/events.jsonl '"event":"end".*"finished"'
size=$(stat -c %s bad.tar); head -c $((size * 2 / 3)) bad.tar > cut.tar
train --out cut --set 'data.train=[cut.tar]'
grep '"kind":"skipped_sample"' cut/events.jsonl | grep -q 'cut.tar: \(truncated\|damaged\)' || fail "a truncated shard was not named"

# NaN stops the run and keeps the last good checkpoint. (With epsilon 0 an unused word's update is 0/0.)
train --out good
before=$(sha256sum < "$(newest good)")
expect_status 1 "$FLIP" train --config run.yaml --no-progress --out nan --set epsilon=0 --set checkpoint.every_samples=32
expect_line err.txt 'not finite; the last good checkpoint is kept'
expect_line nan/events.jsonl '"event":"end".*"status":"failed","kind":"nan"'
[ -f "$(newest nan)" ] || fail "no checkpoint was kept"
[ "$(sha256sum < "$(newest good)")" = "$before" ] || fail "another run's checkpoint changed"

# A full disk: a clear message, and existing files stay readable.
expect_status 1 "$FLIP" train --config run.yaml --no-progress --out full --events /dev/full
expect_line err.txt '/dev/full: cannot write: No space left on device'
# Output is a result too: failing to write it is an error.
code=0; "$FLIP" plan --config run.yaml >/dev/full 2>err.txt || code=$?
[ $code = 1 ] || fail "a plan that cannot be printed ended with $code"
expect_line err.txt 'standard output: cannot write: No space left on device'
(ulimit -f 64; expect_status 1 "$FLIP" train --config run.yaml --no-progress --out good2)
expect_line err.txt 'cannot write: File too large'
[ -z "$(ls good2/checkpoints)" ] || fail "a partial checkpoint was left"
: > file
expect_status 1 "$FLIP" train --config run.yaml --no-progress --out file/run
expect_line err.txt 'file/run'

# A damaged checkpoint is refused with one sentence.
head -c 3000 "$(newest good)" > damaged.safetensors
expect_status 2 "$FLIP" eval --model damaged.safetensors
expect_line err.txt 'truncated|outside the file'
[ "$(wc -l < err.txt)" = 1 ] || fail "more than one line"
