# Whenever a run is stopped, every evaluation is there after it was resumed, and its numbers are those
# of all its processes.
. "$SOURCE/tests/support/training.sh"
make_data
evaluated() { grep '"event":"eval"' "$1/events.jsonl" | grep -oE '"step":[0-9]+' | sort -u | wc -l; }
# until PATTERN FILE: a line matches
until_line() {
  for _ in $(seq 1200); do grep -qE "$1" "$2" 2>/dev/null && return; sleep 0.02; done
  fail "no line '$1' in $2"
}
stop() { # FOLDER: the process in the background, which must end with 130
  local code=0
  kill -TERM $pid; wait $pid || code=$?
  [ $code = 130 ] || fail "$1 ended with $code, not 130"
}

# An evaluation after each step: wherever it is stopped, it is on one.
train --out whole --set eval.points=20
[ "$(evaluated whole)" = 20 ] || fail "$(evaluated whole) evaluations in a run that was not stopped"
train_behind --out stopped --set eval.points=20
until_line '"event":"eval".*"step":5,' stopped/events.jsonl
stop stopped
train --out stopped --set eval.points=20 --resume
[ "$(evaluated stopped)" = 20 ] || fail "$(evaluated stopped) evaluations of 20"
cmp "$(newest whole)" "$(newest stopped)" || fail "other bits"
expect_line stopped/events.jsonl '"event":"end".*"status":"finished".*"step":20'

# In the only step: not finished before it is evaluated.
long=(--set batch_size=512 --set samples=512 --set image.width=128 --set eval.points=1)
train_behind --out last "${long[@]}"
until_line '"event":"start"' last/events.jsonl
stop last
expect_line last/events.jsonl '"event":"end".*"status":"interrupted"'
[ "$(evaluated last)" = 0 ] || fail "evaluated before it stopped"
train --out last "${long[@]}" --resume
[ "$(evaluated last)" = 1 ] || fail "no evaluation after it was resumed"
[ "$(field end status last/events.jsonl | tail -1)" = finished ] || fail "not finished"

# Killed after the last checkpoint, in the evaluation: the state of such a run, made by hand.
cp -r whole killed
grep -v '"event":"e[vn][ad].*"step":20,' whole/events.jsonl > killed/events.jsonl
[ "$(evaluated killed)" = 19 ] || fail "the record was not cut"
sed -i 's/"is_evaluated":true/"is_evaluated":false/' killed/checkpoints/*.state.json
train --out killed --set eval.points=20 --resume
[ "$(evaluated killed)" = 20 ] || fail "the evaluation in which it was killed is missing"
[ "$(field step step killed/events.jsonl | wc -l)" = 20 ] || fail "steps were done again"
expect_line "$(ls killed/checkpoints/*.state.json)" '"is_evaluated":true'
train --out killed --set eval.points=20 --resume # and now there is nothing to do
[ "$(grep -c '"event":"eval".*"step":20,' killed/events.jsonl)" = 2 ] || fail "evaluated twice"

# Few steps are left: the speed is that of the whole run, not of nothing.
slow=(--set batch_size=256 --set samples=2560 --set image.width=128 --set eval.points=0)
cut_after 5 TERM left "$FLIP" train --config run.yaml --no-progress --out left "${slow[@]}"
train --out left "${slow[@]}" --resume
sum=$(field step seconds left/events.jsonl | awk '{ s += $1 } END { print s }')
awk -v sum="$sum" -v told="$(field end train_seconds left/events.jsonl | tail -1)" \
  'BEGIN { exit !(told > 0.999 * sum && told < 1.001 * sum) }' || fail "train_seconds is not $sum, the sum of the rows"
awk -v sum="$sum" -v told="$(field end samples_per_second left/events.jsonl | tail -1)" \
  'BEGIN { exit !(told > 2560 / sum / 2) }' || fail "a finished run without a speed"

# Times that were committed for a checkpoint that never came are not of the run.
echo '{"train_seconds": 1e6}' > left/checkpoints/step-000000099.state.json
train --out left "${slow[@]}" --resume
awk -v told="$(field end train_seconds left/events.jsonl | tail -1)" 'BEGIN { exit !(told < 1e5) }' || fail "times of no checkpoint"

# Outcomes of single items add up to the totals.
bits() { base64 -d | od -An -v -tu1 | awk '{ for (i = 1; i <= NF; i++) for (b = $i; b > 0; b = int(b / 2)) n += b % 2 } END { print n + 0 }'; }
hits() { grep "\"task\":\"$1\"" whole/events.jsonl | tail -1 | sed -E 's/.*"hits":\{([^}]*)\}.*/\1/' | grep -oE "\"$2\":\"[^\"]*\"" | cut -d'"' -f4 | bits; }
metric() { grep "\"task\":\"$1\"" whole/events.jsonl | tail -1 | sed -E 's/.*"metrics":\{([^}]*)\}.*/\1/' | grep -oE "\"$2\":[^,]*" | cut -d: -f2; }
for of in zeroshot:top1:images zeroshot:top5:images retrieval:image_to_text_r1:images retrieval:text_to_image_r10:texts; do
  IFS=: read -r task name items <<< "$of"
  awk -v rate="$(metric $task $name)" -v items="$(metric $task $items)" -v hits="$(hits $task $name)" \
    'BEGIN { d = rate * items - hits; exit !(items > 0 && d < 1e-6 && d > -1e-6) }' ||
    fail "$task $name: $(metric $task $name) of $(metric $task $items), $(hits $task $name) hits"
done
[ "$(grep -c '"labels":' whole/events.jsonl)" = 1 ] || fail "labels are not reported once per process"

# A stop does not wait until a large evaluation set has been read.
sed 's#data/heldout-.*tar#"scenes:0\#count=20M"#' held.yaml > large.yaml
train_behind --out reading --set eval.sets='[large.yaml]'
until [ -d reading ]; do sleep 0.05; done # signals are handled from then on
sleep 1
SECONDS=0
stop reading
[ $SECONDS -lt 10 ] || fail "stopped after $SECONDS s"
