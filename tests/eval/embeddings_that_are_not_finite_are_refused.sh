# A model with weights that are no numbers has no accuracy: each command that encodes says so and fails, and so does
# the evaluation within a run, which keeps what was recorded before.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/safetensors.sh"
make_data
sed 's/^name.*/name: train/; s/heldout/train/; s/tasks.*/tasks: [probe]/; /^templates/d' held.yaml > train.yaml
printf 'a red star\ntwo small circles\n' > texts.txt
printf 'sets:\n  - {file: held.yaml}\n  - {file: gone.yaml}\n' > suite.yaml
train --out run --set eval.points=0 --set samples=64 --set warmup_samples=0
for tower in image text; do
  cp "$(newest run)" $tower.safetensors
  spoil $tower.projection.weight 0 $tower.safetensors
done

why='are not finite \(NaN or infinity\): its training diverged'
refused() { # refused MODEL SET COUNT COMMAND…: no number is printed, and nothing written
  local model=$1 set=$2 count=$3
  shift 3
  rm -f x.npy x.png
  expect_status 1 "$FLIP" "$@" -m "$model.safetensors"
  expect_line err.txt "flip: error: $set: the model's embeddings of $count of $count ${model}s $why"
  [ ! -s out.txt ] && [ ! -e x.npy ] && [ ! -e x.png ] || { cat out.txt; fail "$1 gives a result"; }
}
for task in zeroshot retrieval; do refused image scenes 40 eval $task -f held.yaml; done
refused text scenes 24 eval zeroshot -f held.yaml # two prompts for each of 12 classes
refused text scenes 40 eval retrieval -f held.yaml --json
refused image scenes 40 eval -f held.yaml -s eval.mask_ratio=0.5 -s eval.views=complementary
for model in 'image scenes 40' 'text scenes 24'; do refused $model eval suite suite.yaml; done
refused image train 160 eval probe --train train.yaml -f held.yaml --c 1
refused image scenes 40 eval probe --train train.yaml -f held.yaml --method lars --epochs 1
shard=data/heldout-00000.tar
tar xOf $shard "$(tar tf $shard | grep png | head -1)" > first.png
refused image $shard 40 embed -i $shard -o x.npy
refused text texts.txt 2 embed -t texts.txt -o x.npy
refused image $shard 40 retrieve -t 'a red star' -i $shard
refused text --text 1 retrieve -t 'a red star' -i $shard
refused image first.png 1 retrieve --image first.png --texts texts.txt
refused text texts.txt 2 retrieve --image first.png --texts texts.txt
refused image 'the canvas' 1 dream -t 'a red star' -o x.png --steps 1 --views 2 --no-progress
refused text --text 1 dream -t 'a red star' -o x.png --steps 1 --views 2 --no-progress
for kind in image text; do refused $kind --min-score 40 data filter -o filtered --min-score 0.1 $shard; done
# An image that cannot be decoded is no fault of the model.
mkdir images; tar xf $shard -C images; echo broken > images/broken.png
expect_status 0 "$FLIP" embed -m run -i images -o x.npy
expect_line err.txt '1 of 41 images could not be decoded; its row is NaN'

# No caption has an unknown word, but a set's prompts do: its evaluation ends the run, after that of another set.
cp "$(newest run)" word.safetensors
# the largest number, which overflows: a checkpoint's own weights have to be finite
for number in $(seq 32 63); do spoil text.words $number word.safetensors '\377\377\177\177'; done
sed 's/^name.*/name: unknown/; s/^templates.*/templates: ["☃ {}"]/' held.yaml > unknown.yaml
unknown=(--config run.yaml --no-progress -s init_from=word.safetensors -s 'eval.sets=[held.yaml, unknown.yaml]' -s eval.points=1
  -s samples=64 -s warmup_samples=0 -s threads=1)
ended() { # ended RUN: as a run whose loss is no number
  expect_line err.txt "flip: error: evaluating on unknown: unknown: the model's embeddings of 12 of 12 texts $why"
  [ "$(grep -c 'flip: error:' err.txt)" = 1 ] || { cat err.txt; fail "not one message"; }
  [ "$(field end status "$1/events.jsonl")/$(field end kind "$1/events.jsonl")" = failed/nan ] || { tail -1 "$1/events.jsonl"; fail "not recorded as nan"; }
  [ "$(field eval set "$1/events.jsonl" | sort -u)" = scenes ] || fail "the evaluation on the first set is not kept"
  [ "$(grep -c '"event":"eval"' "$1/events.jsonl")" = 2 ] || fail "not zero-shot and retrieval"
}
expect_status 1 "$FLIP" train "${unknown[@]}" --out alone
ended alone
# All ranks have the rows of all, and stop together.
. "$SOURCE/tests/support/processes.sh"
start 2 "$FLIP" train "${unknown[@]}" --out shared
finish && fail "two ranks record an accuracy"
cp err err.txt
ended shared
start 2 "$FLIP" eval -m image.safetensors -f held.yaml -s threads=1
finish && fail "two ranks measure an accuracy"
grep -q "scenes: the model's embeddings of 40 of 40 images $(echo "$why" | tr -d '\\')" err || { cat err; fail "on two ranks"; }
