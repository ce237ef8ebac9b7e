# data.train: scenes:SEED draws in the loader's threads: the same for any number of them, after a
# resume, and the same as the scenes that 'flip data scenes' writes.
. "$SOURCE/tests/support/training.sh"
make_data
cat > drawn.yaml <<'Y'
name: drawn
images: ["scenes:1#split=heldout,count=40,size=24"]
tasks: [zeroshot, retrieval]
label: shape
templates: ["a {}", "{}"]
Y
drawn=(--set 'data.train=["scenes:1#count=160,size=24"]' --set 'eval.sets=[drawn.yaml]')
train --out files --set data.workers=2
train --out drawn "${drawn[@]}" --set data.workers=3
[ "$(field step loss files/events.jsonl)" = "$(field step loss drawn/events.jsonl)" ] || fail "drawn scenes are not the written ones"
wanted=$(grep -o '"task":.*' files/events.jsonl)
[ "$(grep -o '"task":.*' drawn/events.jsonl)" = "$wanted" ] || fail "the held-out scenes differ"

# Without an end: more samples than any epoch here, one worker or four, whole or resumed.
endless=(--set 'data.train=["scenes:5#size=24"]' --set eval.points=0 --set text_mask_mode=frequency --set text_mask_ratio=0.5
         --set checkpoint.every_samples=320)
train --out one "${endless[@]}" --set data.workers=1
cut_after 4 TERM four "$FLIP" train --config run.yaml --no-progress --out four "${endless[@]}" --set data.workers=4
train --out four "${endless[@]}" --set data.workers=1 --resume
[ "$(field step loss one/events.jsonl)" = "$(field step loss four/events.jsonl)" ] || fail "threads or resuming changed the scenes"
cmp "$(newest one)" "$(newest four)" || fail "the weights differ"
expect_line one/events.jsonl '"data_samples":1000000000'
