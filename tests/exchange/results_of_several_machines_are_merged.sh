. "$SOURCE/tests/support/sweep.sh"

# One machine has the first cells, another all of them but one, which it failed.
cp experiments/small.yaml experiments/all.yaml
expect_status 0 bench run experiments/small.yaml --results here
cp -r here there
rm -rf there/small/mask_ratio=0.75* here/small/mask_ratio=0.5* there/flipbench.db*
(export FAKE_NAN=mask_ratio=0.75; expect_status 1 bench run experiments/small.yaml --results there)
expect_status 0 bench db rebuild --results here

expect_status 0 bench db merge there --results here
expect_line out.txt '3 runs merged, 1 already known' # 0.5, its tuning and the failed 0.75
DB=here/flipbench.db
expect_answer "SELECT count(*) FROM v_cell_latest WHERE status = 'finished'" 5
expect_answer "SELECT count(*) FROM run WHERE status = 'failed'" 1
expect_status 0 bench db check --results here
expect_status 0 bench report small --results here --format csv
mv out.txt merged.csv

# Merging again changes nothing; rebuilt from the folders it is the same.
expect_status 0 bench db merge there --results here
expect_line out.txt '0 runs merged, 4 already known'
expect_status 0 bench db rebuild --results here
expect_status 0 bench report small --results here --format csv
cmp out.txt merged.csv || fail "the rebuilt table differs from the merged one"
expect_answer "SELECT count(*) FROM run" 6

# A run is known by its first process, also where it has another name since: archived here, set aside there.
expect_status 0 bench runs archive "$(ask "SELECT id FROM run WHERE directory GLOB 'small/mask_ratio=0.5-????????'")" --results here
for failed in there/small/mask_ratio=0.75-*; do mv "$failed" "$failed.failed-1"; done
expect_status 0 bench db merge there --results here
expect_line out.txt '0 runs merged, 4 already known'
expect_answer "SELECT count(*), sum(archived) FROM run" '6|1'

# A run in progress on the other machine is skipped until it has ended.
cp -r there third
tail -n 1 third/small/mask_ratio=0-*/attempts.jsonl | grep -q attempt_end
sed -i '$d' third/small/mask_ratio=0-*/attempts.jsonl
expect_status 0 bench db merge third --results fresh
expect_line out.txt '3 runs merged, 0 already known, 1 still running there'

# Its last process decides, not the number of lines: a note does not end it, and a process without a recorded
# end, whose flipbench was killed, does not keep back the result of the next one.
run=$(echo third/small/mask_ratio=0-*)
echo '{"event":"note","time":"2026-01-01T00:00:00Z","text":"a note"}' >> "$run/attempts.jsonl"
expect_status 0 bench db merge third --results fresh
expect_line out.txt '0 runs merged, 3 already known, 1 still running there'
start=$(head -n 1 "$run/attempts.jsonl")
sed 's/"attempt":1,/"attempt":2,/' <<< "$start" >> "$run/attempts.jsonl"
echo '{"event":"attempt_end","time":"2026-01-01T00:00:01Z","attempt":2,"status":"finished","exit_code":0,"signal":0,"kind":"","message":"","log_tail":""}' >> "$run/attempts.jsonl"
expect_status 0 bench db merge third --results fresh
expect_line out.txt '1 runs? merged, 3 already known'
DB=fresh/flipbench.db expect_answer "SELECT count(*) FROM run WHERE status = 'finished' AND directory LIKE 'small/mask_ratio=0-%'" 1

# A run that went on here and there is two runs: neither replaces the other.
cp -r fresh mine
cp -r fresh yours
run=$(cd mine && ls -d small/mask_ratio=0.5-*)
for side in mine yours; do
  sed 's/"attempt":1,/"attempt":2,/' <<< "$(head -n 1 $side/$run/attempts.jsonl)" | sed "s/\"pid\":[0-9]*/\"pid\":$((4 + ${#side}))/; s/\"time\":\"2/\"where\":\"$side\",\"time\":\"2/" >> $side/$run/attempts.jsonl
  echo '{"event":"attempt_end","time":"2026-01-01T00:00:01Z","attempt":2,"status":"finished","exit_code":0,"signal":0,"kind":"","message":"","log_tail":""}' >> $side/$run/attempts.jsonl
done
echo '{"event":"note","time":"2026-01-01T00:00:02Z","text":"longer"}' >> yours/$run/attempts.jsonl
before=$(sha256sum mine/$run/attempts.jsonl)
expect_status 0 bench db merge yours --results mine
expect_line out.txt '^1 run merged'
[ "$before" = "$(sha256sum mine/$run/attempts.jsonl)" ] && [ -s "mine/$run.merged-1/attempts.jsonl" ] || fail "a run replaced another one that began alike"

# A run whose attempts cannot be read is told, as when rebuilding; weights that were left behind can be
# fetched later.
cp -r there zeros
head -c 400 /dev/zero > "$(ls -d zeros/small/mask_ratio=0-*)/attempts.jsonl"
expect_status 0 bench db merge zeros --results sink
expect_line err.txt 'zeros/small/mask_ratio=0-.*/attempts.jsonl: no line of it can be read: the run is left out'
expect_status 0 bench run experiments/all.yaml --results weighty
expect_status 0 bench db merge weighty --results light
[ -z "$(ls -d light/small/*/checkpoints 2>/dev/null)" ] || fail "weights were copied unasked"
expect_status 0 bench db merge weighty --results light --checkpoints
expect_line out.txt '0 runs merged, 5 already known'
for folder in weighty/small/*/checkpoints; do
  diff -r "$folder" "light${folder#weighty}" || fail "the weights of $folder are missing"
done

# A tuning starts from the last weights, not from older ones that happen to be there.
sed '/^tuning/,/^report/{/^report/!d}; s/eval.points: 4/eval.points: 4, checkpoint.keep: 9/; s/, tuned_zero_shot_top1//; s/            tuned_zero_shot_top1,/            /' experiments/small.yaml |
  sed 's/^name: .*/name: kept/' > experiments/kept.yaml
expect_status 0 bench run experiments/kept.yaml --results kept
newest=$(ls -d kept/kept/mask_ratio=0.5-*/checkpoints/*.safetensors | tail -1)
[ "$(ls kept/kept/mask_ratio=0.5-*/checkpoints/*.safetensors | wc -l)" -gt 1 ] || fail "one checkpoint only"
rm "$newest"
expect_status 1 bench run experiments/small.yaml --results kept
expect_line err.txt "0.5 . unmasked tuning: .*the parent's last checkpoint is gone"

expect_status 2 bench db merge here --results here
expect_line err.txt 'is the destination results folder itself'
expect_status 2 bench db merge experiments --results here
expect_line err.txt 'contains no experiment'

# Other db commands.
expect_status 0 bench db vacuum --results here
expect_status 0 bench db export --results here --out csv --experiment small
head -n 1 csv/v_curve.csv | grep -q 'experiment,label' || fail "no head line"
expect_status 0 bench db export --results here --out parquet --format parquet
expect_line out.txt "$(ls parquet | wc -l) files"
for file in parquet/*.parquet; do
  [ "$(head -c 4 "$file")$(tail -c 4 "$file")" = PAR1PAR1 ] || fail "$file is no Parquet file"
done
expect_status 2 bench db export --results here --format feather
expect_line err.txt 'not one of csv, jsonl, parquet'
expect_status 0 bench db bench --points 20k --json
expect_line out.txt '"points":20000'
