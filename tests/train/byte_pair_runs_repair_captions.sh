# A run with byte pairs reads wrongly decoded captions as open_clip does; one that was recorded
# before text.repair existed reads them unrepaired, and continues so.
. "$SOURCE/tests/support/training.sh"
make_data
sed -i 's/, vocabulary: vocab.txt//' run.yaml
cat >> run.yaml <<Y
text.tokenizer: bpe
text.vocabulary: $SOURCE/tests/parity/fixtures/merges.txt.gz
text.special_tokens: both
text.pool: eot
Y
train --out run >/dev/null
echo 'cafÃ© rouge' >wrong.txt
echo 'café rouge' >right.txt
same() {
  for t in wrong right; do "$FLIP" embed -m run -t $t.txt -o $t.npy "$@" >/dev/null || fail "flip embed $*"; done
  cmp -s wrong.npy right.npy
}
same || fail "a wrongly decoded caption is not the repaired one"
same --set text.repair=false && fail "text.repair: false repairs"
# The libraries have CLIP's list of merges, not this one.
sed 's/^text.pool: eot/&\nimage.pool: class\nimage.position: learned\nimage.patch_bias: false\ntext.causal: true/' run.yaml >clip.yaml
"$FLIP" train --config clip.yaml --no-progress --out clip -s samples=64 -s warmup_samples=0 -s eval.points=0 >/dev/null || fail "train"
expect_status 0 "$FLIP" convert -i clip -o exported -f open_clip
expect_line err.txt "text.vocabulary: open_clip splits texts by CLIP's own list of merges, of 49408 tokens, and this model was trained with another"
# Its checkpoint and config.yaml as written before: without text.repair.
LC_ALL=C sed -i 's/text.repair: true/                 /' run/config.yaml run/checkpoints/*.safetensors
without_checksum run/checkpoints/*.safetensors
grep -q 'text.repair' run/config.yaml && fail "config.yaml still names text.repair"
same && fail "a run from before repairs captions that it was trained on as they were"
train --out run --resume 2>message && fail "a run from before resumed with repaired captions"
grep -q 'was made with text.repair: false, this run has true' message || fail "$(cat message)"
train --out run --resume -s text.repair=false || fail "a run from before did not continue unchanged"
