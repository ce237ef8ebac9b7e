# A run with CLIP's tokens and text masking: fewer tokens are encoded, at their ranks or at their places, and the
# loader's threads change nothing.
. "$SOURCE/tests/support/training.sh"
make_data
sed -i 's/, vocabulary: vocab.txt//' run.yaml
cat >> run.yaml <<Y
text.tokenizer: bpe
text.vocabulary: $SOURCE/tests/parity/fixtures/merges.txt.gz
text.special_tokens: both
text.pool: eot
text_mask_mode: frequency
text_mask_ratio: 0.5
Y
"$FLIP" plan --config run.yaml | grep -q 'text:  6 tokens' || fail "the plan does not count 6 of 12 tokens"
train --out one -s data.workers=1
train --out three -s data.workers=3
[ "$(field step loss one/events.jsonl)" = "$(field step loss three/events.jsonl)" ] ||
  fail "the number of loader threads changed the losses"
train --out places -s text_mask_positions=original -s data.workers=3
[ "$(field step loss one/events.jsonl)" = "$(field step loss places/events.jsonl)" ] &&
  fail "the positions of the kept tokens changed nothing"
train --out parts -s text_mask_positions=original -s data.workers=1 -s micro_batch_size=2
paste -d ' ' <(field step loss parts/events.jsonl) <(field step loss places/events.jsonl) |
  awk 'NR <= 5 && ($1 - $2) ^ 2 > 1e-8 { exit 1 } END { if (NR < 5) exit 1 }' ||
  fail "a micro-batch took the positions of another"
train --out whole -s text_mask_mode=none -s text_mask_ratio=0
[ "$(field step loss one/events.jsonl)" = "$(field step loss whole/events.jsonl)" ] &&
  fail "masking the text changed nothing"
"$FLIP" eval -m one >/dev/null
train --out refused -s text_mask_ratio=0.9 2>message && fail "a ratio that leaves one token was accepted"
grep -q 'leaves 1 of 12 tokens; at least three are needed' message || fail "$(cat message)"
