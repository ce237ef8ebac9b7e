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
run=$(echo third/small/mask_ratio=0-*)
echo '1 node7' > "$run/lock"
expect_status 0 bench db merge third --results fresh
expect_line out.txt '3 runs merged, 0 already known, 1 still running there'
echo "1 $(hostname)" > "$run/lock"
flock "$run/lock" "$FLIPBENCH" db merge third --results fresh > out.txt
expect_line out.txt '0 runs merged, 3 already known, 1 still running there'
# One whose processes were killed together has not ended either, and is said to be so.
expect_status 0 bench db merge third --results fresh
expect_line out.txt '0 runs merged, 3 already known, 1 left out: killed there before an end was recorded \(run the experiment there'
! grep -q 'still running' out.txt || fail 'a killed run is said to be running'

# Its last process decides, not the number of lines: a note does not end it, and a process without a recorded
# end, whose flipbench was killed, does not keep back the result of the next one.
echo '{"event":"note","time":"2026-01-01T00:00:00Z","text":"a note"}' >> "$run/attempts.jsonl"
expect_status 0 bench db merge third --results fresh
expect_line out.txt '0 runs merged, 3 already known, 1 left out'
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

# Notes, tags and archives neither make two runs of one nor undo each other: runs are compared by their processes.
expect_status 0 bench run experiments/small.yaml --results one
cp -r one two
DB=one/flipbench.db
id() { ask "SELECT id FROM run WHERE directory GLOB 'small/mask_ratio=$1-????????'"; }
half=$(id 0.5) most=$(id 0.75) none=$(id 0)
expect_status 0 bench runs archive "$half" --results one
expect_status 0 bench runs tag "$half" paper --results two
expect_status 0 bench runs note "$most" 'noted here' --results one
expect_status 0 bench runs tag "$most" here --results one
expect_status 0 bench runs note "$none" 'noted there first' --results two
expect_status 0 bench runs note "$none" 'noted here last' --results one
expect_status 0 bench runs tag "$most" there --results two
expect_status 0 bench runs note "$most" 'noted there last' --results two
expect_status 0 bench runs archive "$none" --results two
for way in 'two one' 'one two' 'two one'; do
  set -- $way
  expect_status 0 bench db merge $1 --results $2
  expect_line out.txt '^0 runs merged, 5 already known'
  for step in merged rebuilt; do
    DB=$2/flipbench.db
    expect_answer "SELECT count(*), sum(archived) FROM run" '5|2'
    expect_answer "SELECT group_concat(directory GLOB '*.archived-1') FROM run WHERE archived" '1,1'
    expect_answer "SELECT note FROM run WHERE directory GLOB 'small/mask_ratio=0.75-*'" 'noted there last'
    expect_answer "SELECT note FROM run WHERE directory GLOB 'small/mask_ratio=0-*'" 'noted here last'
    expect_answer "SELECT group_concat(name) FROM (SELECT name FROM tag JOIN run ON run.id = run_id WHERE directory GLOB 'small/mask_ratio=0.75-*' ORDER BY 1)" 'here,there'
    expect_answer "SELECT name FROM tag JOIN run ON run.id = run_id WHERE directory GLOB 'small/mask_ratio=0.5-*'" paper
    expect_status 0 bench db rebuild --results $2
  done
done
# What was restored here later stays restored; a tag that was removed there later is removed here.
DB=one/flipbench.db
expect_status 0 bench runs restore "$(ask "SELECT id FROM run WHERE directory GLOB 'small/mask_ratio=0-*'")" --results one
DB=two/flipbench.db
expect_status 0 bench runs tag "$(id 0.75)" here --remove --results two
expect_status 0 bench db merge two --results one
DB=one/flipbench.db
expect_answer "SELECT sum(archived) FROM run" 1
expect_answer "SELECT name FROM tag JOIN run ON run.id = run_id WHERE directory GLOB 'small/mask_ratio=0.75-*'" there
# A run that went on there is taken with our marks, and not when it is archived here.
for run in two/small/mask_ratio=0.75-* two/small/mask_ratio=0.5-*; do
  sed 's/"attempt":1,/"attempt":2,/' <<< "$(grep attempt_start "$run/attempts.jsonl")" >> "$run/attempts.jsonl"
  echo '{"event":"attempt_end","time":"2026-01-01T00:00:01Z","attempt":2,"status":"finished","exit_code":0,"signal":0,"kind":"","message":"","log_tail":""}' >> "$run/attempts.jsonl"
done
expect_status 0 bench runs note "$(id 0.75)" 'newest' --results one
expect_status 0 bench db merge two --results one
expect_line out.txt '^1 run merged, 4 already known'
expect_answer "SELECT count(*), sum(archived) FROM run" '5|1'
expect_answer "SELECT note, (SELECT count(*) FROM attempt WHERE run_id = run.id) FROM run WHERE directory GLOB 'small/mask_ratio=0.75-*'" 'newest|2'
# Archived there, when it had not gone on: the run that did is not archived.
cp -r two three
sed -i '/"attempt":2,/d' three/small/mask_ratio=0.75-*/attempts.jsonl
expect_status 0 bench db rebuild --results three
DB=three/flipbench.db
expect_status 0 bench runs archive "$(id 0.75)" --results three
expect_status 0 bench db merge three --results one
expect_line out.txt '^0 runs merged, 5 already known$'
DB=one/flipbench.db
expect_answer "SELECT archived FROM run WHERE directory GLOB 'small/mask_ratio=0.75-*'" 0

# A run whose attempts cannot be read is told, as when rebuilding; weights that were left behind can be
# fetched later.
cp -r there zeros
head -c 400 /dev/zero > "$(ls -d zeros/small/mask_ratio=0-*)/attempts.jsonl"
expect_status 0 bench db merge zeros --results sink
expect_line err.txt 'zeros/small/mask_ratio=0-.*/attempts.jsonl: no start of a process can be read: the run is left out'
expect_status 0 bench run experiments/all.yaml --results weighty
expect_status 0 bench db merge weighty --results light
[ -z "$(ls -d light/small/*/checkpoints 2>/dev/null)" ] || fail "weights were copied unasked"
expect_status 0 bench db merge weighty --results light --checkpoints
expect_line out.txt '0 runs merged, 5 already known'
for folder in weighty/small/*/checkpoints; do
  diff -r "$folder" "light${folder#weighty}" || fail "the weights of $folder are missing"
done
# Interrupted while it copied them, or between two, merging again completes them.
for folder in light/small/*/checkpoints; do rm "$(ls "$folder"/*.safetensors | head -n 1)"; break; done
rm light/small/mask_ratio=0.75-*/checkpoints/*
expect_status 0 bench db merge weighty --results light --checkpoints
for folder in weighty/small/*/checkpoints; do
  diff -r "$folder" "light${folder#weighty}" || fail "the weights of $folder are incomplete"
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
expect_status 0 bench db export --results here --out lines --format jsonl
grep -q '"rank_records":\[' lines/attempt.jsonl && grep -q '"own_settings":{' lines/run.jsonl && grep -q '"set_words":\[' lines/experiment.jsonl || fail "JSON columns are exported as text"
expect_status 2 bench db export --results here --format feather
expect_line err.txt 'not one of csv, jsonl, parquet'
expect_status 0 bench db bench --points 20k --json
expect_line out.txt '"points":20000'
