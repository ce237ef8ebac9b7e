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

# The number of samples that had to be replaced is in the last line and in the end event.
expect_line skipping/events.jsonl '"event":"end".*"replaced_samples":[1-9]'
"$FLIP" data scenes --out one --count 6 --size 24 --no-progress >/dev/null
mkdir files; tar xf one/train-00000.tar -C files
(echo filepath,caption; for i in 0 1 2 3 4 5 6 7; do echo "files/0000000$i.png,a shape"; done) > some.csv
train --out some --set 'data.train=[some.csv]' --set eval.sets=[] 2> err.txt
expect_line err.txt '^flip: warning: 160 samples could not be read and were replaced by others'
expect_line some/events.jsonl '"event":"end".*"replaced_samples":160,'

# A pipe among the files is skipped and named, not waited for; as a shard it is refused.
mkdir piped; cp files/*.png piped; for i in 0 1 2 3 4 5 6 7; do echo a shape > piped/0000000$i.txt; done
mkfifo piped/00000008.png pipe.tar; echo a shape > piped/00000008.txt
expect_status 1 "$FLIP" data verify folder:piped
expect_line out.txt 'piped/00000008.png: is not a regular file'
train --out piped_run --set 'data.train=[folder:piped]' --set eval.sets=[] 2> err.txt
expect_line piped_run/events.jsonl 'skipped_sample.*piped/00000008.png: is not a regular file'
expect_status 2 train --out shard_run --set 'data.train=[pipe.tar]'
expect_line err.txt 'pipe.tar: is not a regular file'

# An outage of the files makes no bad samples: it ends the run as a failure to read, and the run is resumed.
lasting() { train_behind --out "$@" --set samples=32M --set log_every=1 --set checkpoint.every_samples=320 --set eval.sets=[] 2> err.txt; }
until_step() { until [ "$(field step step $1/events.jsonl 2>/dev/null | tail -1)" -ge $2 ] 2>/dev/null; do kill -0 $pid || fail "ended too early"; sleep 0.02; done; }
failed_with() { local code=0; wait $pid || code=$?; [ $code = $1 ] || { cat err.txt; fail "status $code, expected $1"; }; }
sed -i '8,$d' some.csv
lasting outage --set 'data.train=[some.csv]' --set data.cache_mib=0
until_step outage 20
mv files gone
failed_with 1
expect_line err.txt 'files/0000000[0-5].png: cannot open: No such file or directory \(not the fault of this file alone'
expect_line outage/events.jsonl '"event":"end".*"status":"failed","kind":"io"'
grep -q skipped_sample outage/events.jsonl && fail "an outage made bad samples"
mv gone files
lasting outage --resume --set 'data.train=[some.csv]' --set data.cache_mib=0
until_step outage 40
kill -INT $pid
failed_with 130

# A shard that is truncated while it is mapped ends the run with its name.
cp data/train-00000.tar mapped.tar
lasting mapped --set 'data.train=[mapped.tar]' --set data.cache_mib=0
until_step mapped 5
: > mapped.tar
failed_with 1
expect_line err.txt 'mapped.tar: cannot be read any more: it was truncated, or its file system failed$'

# NaN stops the run, and no checkpoint has it. (With epsilon 0 an unused word's update is 0/0, from the first step.)
train --out good
before=$(sha256sum < "$(newest good)")
expect_status 1 "$FLIP" train --config run.yaml --no-progress --out nan --set epsilon=0 --set checkpoint.every_samples=32
expect_line err.txt 'not finite; the last good checkpoint is kept'
expect_line nan/events.jsonl '"event":"end".*"status":"failed","kind":"nan"'
expect_line err.txt "step 1: [0-9]+ of [0-9]+ weights are not finite; .* [(]try a larger epsilon: "
[ -z "$(ls nan/checkpoints/*.safetensors 2>/dev/null)" ] || fail "weights that are no numbers were saved"
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
