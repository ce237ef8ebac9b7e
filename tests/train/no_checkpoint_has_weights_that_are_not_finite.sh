# Weights may stop being numbers before the loss shows it: those of a word that no caption has. They are not
# saved: the run ends, and the checkpoint before stays the newest, from which it is resumed.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/safetensors.sh"
make_data
# No caption has an unknown word, but a set's prompts do: only its evaluation fails.
sed 's/^name.*/name: unknown/; s/^templates.*/templates: ["☃ {}"]/' held.yaml > unknown.yaml
sed -i 's/sets: \[held.yaml\]/sets: [unknown.yaml]/' run.yaml
options=(--set samples=6400 --set eval.points=1 --set threads=1 --set checkpoint.keep=1)
cut_after 4 TERM run "$FLIP" train --config run.yaml --no-progress --out run "${options[@]}"
good=$(newest run) step=$(newest run | grep -oE '[0-9]{9}')
cp -r run whole

# A moment that is no number makes the weight one in the next step.
spoil adamw.m/text.words $((32 + 5)) "$good"
cp "$good" before.safetensors
expect_status 1 train --out run --resume "${options[@]}"
expect_line err.txt 'step 200: 1 of [0-9]+ weights are not finite; the last good checkpoint is kept'
expect_line run/events.jsonl '"event":"end".*"status":"failed","kind":"nan"'
[ "$(ls run/checkpoints/*.safetensors)" = "$good" ] || { ls run/checkpoints; fail "another checkpoint is the newest"; }
cmp "$good" before.safetensors || fail "the last good checkpoint changed"
cp "$(newest whole)" "$good" # as it was before its moment was spoiled
expect_status 0 train --out run --resume "${options[@]}"
[ "$(newest run)" != "$good" ] || fail "it was not finished"

# On two ranks the same, on both.
. "$SOURCE/tests/support/processes.sh"
rm -rf run && cp -r whole run
spoil adamw.m/text.words $((32 + 5)) "$good"
start 2 "$FLIP" train --config run.yaml --no-progress --out run --resume "${options[@]}"
finish && fail "two ranks save weights that are no numbers"
grep -q 'step 200: 1 of [0-9]* weights are not finite' err || { cat err; fail "on two ranks"; }
[ "$(newest run)" = "$good" ] || fail "another checkpoint is the newest, on two ranks"

# A checkpoint of an earlier version, which saved them: named, instead of training on.
rm -rf run && cp -r whole run
spoil text.words $((32 + 5)) "$good"
expect_status 2 train --out run --resume "${options[@]}"
expect_line err.txt "step-$step.safetensors: 1 weight is not finite \(NaN or infinity\) in tensor 'text.words': .*; remove this file to resume from the checkpoint before it"
