# fp8_scaling: delayed. Factors come from the maxima of earlier steps, which a checkpoint contains; values
# beyond them are counted. Emulated on the CPU, by the definition of a GPU.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/processes.sh"
make_data
narrow=(--set precision=fp8 --set samples=320 --set checkpoint.every_samples=160 --set checkpoint.keep=2 --set eval.sets= --set log_every=1 --set threads=1)
delayed=("${narrow[@]}" --set fp8_scaling=delayed)

train --out current "${narrow[@]}"
train --out whole "${delayed[@]}"
train --out again "${delayed[@]}"
cmp "$(newest whole)" "$(newest again)" || fail "two runs differ"

# The same factors in the first step, which has no history; others afterwards, and the run learns as well.
[ "$(field step loss whole/events.jsonl | sed -n 1p)" = "$(field step loss current/events.jsonl | sed -n 1p)" ] ||
  fail "the first step differs from current scaling"
! cmp -s "$(newest whole)" "$(newest current)" || fail "delayed scaling changes nothing"
paste <(field step loss current/events.jsonl) <(field step loss whole/events.jsonl) |
  awk 'NR > 5 { a += $1; b += $2 } END { exit !(b < 1.05 * a && a < 1.05 * b) }' || fail "the losses are more than 5 % apart"

# Counted in every step; a growing model has some values beyond its history.
[ "$(field step values_saturated whole/events.jsonl | wc -l)" -eq 10 ] || fail "steps without a count"
[ "$(field step values_saturated whole/events.jsonl | sed -n 1p)" = 0 ] || fail "the first step saturates"
field step values_saturated whole/events.jsonl | awk '$1 > 0 { n++ } END { exit !(n > 0) }' || fail "nothing is counted"
[ -z "$(field step values_saturated current/events.jsonl)" ] || fail "current scaling counts"

# Evaluation in 8 bits says so, of a converted model too.
"$FLIP" convert -i current -o current.safetensors -f flip > /dev/null
for model in current current.safetensors; do
  expect_status 0 "$FLIP" eval -m $model -f held.yaml --json
  expect_line out.txt '"precision":"fp8"'
  expect_status 0 "$FLIP" eval -m $model -f held.yaml
  expect_line err.txt 'evaluating in fp8 on cpu'
done

# Dense layers that cannot be in 8 bits are named with the reason, and only these.
! grep -q '"kind":"precision"' whole/events.jsonl || fail "a tower in 8 bits is said to be in bf16"
train --out odd "${narrow[@]}" --set batch_size=30 --set samples=60 --set image.width=40 --set image.heads=2
grep '"kind":"precision"' odd/events.jsonl | grep -q "the image tower's dense layers are computed in bf16.*widths of 40" || fail "no reason for the image tower"
train --out odd2 "${narrow[@]}" --set batch_size=30 --set samples=60
grep '"kind":"precision"' odd2/events.jsonl | grep -q "the text tower's dense layers are computed in bf16.*30 samples of" || fail "no reason for the text tower"
# On two ranks of 24 samples a last micro-batch of 8 is left: 8 of 19 tokens are no multiple of 16, though 16 are.
pids=()
for rank in 0 1; do
  RANK=$rank WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=$((20000 + $$ % 20000)) train --out last "${narrow[@]}" --set batch_size=48 \
    --set micro_batch_size=16 --set samples=96 --set checkpoint.every_samples=0 & pids+=($!)
done
for pid in "${pids[@]}"; do wait $pid || fail "two ranks in 8 bits"; done
grep '"kind":"precision"' last/events.jsonl | grep -q "the image tower's dense layers are computed in bf16.* in a batch's last micro-batch: 8 samples of 19 tokens" || fail "no reason for the last micro-batch"

# Resumed, and in micro-batches too.
for parts in 0 16; do
  out=parts-$parts
  train --out "$out" "${delayed[@]}" --set micro_batch_size=$parts
  cp -r "$out" resumed
  rm "$(newest resumed)"
  train --out resumed "${delayed[@]}" --set micro_batch_size=$parts --resume
  cmp "$(newest "$out")" "$(newest resumed)" || fail "resuming changed the bits (micro_batch_size $parts)"
  rm -r resumed
done

# A checkpoint of another scaling does not continue this one; weights can be taken from it.
cp -r current other
rm "$(newest other)"
expect_status 2 train --out other "${delayed[@]}" --resume
expect_line err.txt 'was made with fp8_scaling: current, this run has delayed'
train --out from "${delayed[@]}" --set init_from="$(newest current)"

# On several ranks the maxima are those of all. Two ranks continue what one began: the next step has the same
# factors, so the same loss but for the order of sums, and the same values beyond the formats. One rank
# continues what they ended.
ranks() { # OUT OPTION...
  start 2 "$FLIP" train --config run.yaml --no-progress --out "$1" "${delayed[@]}" "${@:2}"
  finish || fail "two ranks: $(cat err)"
}
cp -r whole shared
rm "$(newest shared)"
ranks shared --resume
paste <(field step loss shared/events.jsonl | tail -5) <(field step loss whole/events.jsonl | tail -5) |
  awk '{ d = $1 - $2; if (d > 1e-3 || d < -1e-3 || NR == 1 && (d > 1e-5 || d < -1e-5)) exit 1 } END { if (NR != 5) exit 1 }' ||
  fail "two ranks continue with other factors: $(field step loss shared/events.jsonl | tail -5 | tr '\n' ' ')"
[ "$(field step values_saturated shared/events.jsonl | tail -5 | sed -n 1p)" = "$(field step values_saturated whole/events.jsonl | tail -5 | sed -n 1p)" ] ||
  fail "two ranks have other values beyond the formats"
ranks begun
rm "$(newest begun)"
train --out begun "${delayed[@]}" --resume
[ "$(field step values_saturated begun/events.jsonl | wc -l)" -eq 15 ] || fail "one rank does not continue what two began"

# A table has the count, per step, of the cell that has one.
cat > narrow.yaml <<'Y'
name: narrow
base: run.yaml
settings: {precision: fp8, samples: 160, eval.sets: [], log_every: 2, threads: 1}
matrix: {fp8_scaling: [current, delayed]}
report: {rows: fp8_scaling, columns: [final_loss, values_saturated_per_step], plots: []}
Y
"$FLIPBENCH" run narrow.yaml --no-progress --results results > sweep.txt 2>&1 || { cat sweep.txt; fail "the sweep"; }
"$FLIPBENCH" report narrow --results results --format csv > table.csv
counted=$(field step values_saturated results/narrow/*delayed*/events.jsonl | awk '{ sum += $1 } END { printf "%.0f", sum / 5 }')
[ "$counted" -gt 0 ] || fail "the sweep counts nothing"
awk -F, -v counted="$counted" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /values_saturated_per_step/ && !column) column = i }
  $1 ~ /delayed/ { d = $column - counted; found += d * d <= 1 } $1 ~ /current/ { empty += $column == "" }
  END { exit !(found == 1 && empty == 1) }' table.csv || { cat table.csv; fail "not $counted per step, or a count of current scaling"; }
