# Curves for TensorBoard, W&B and MLflow: one folder per run, or one long table; rewritten each time.
. "$SOURCE/tests/support/sweep.sh"
expect_status 0 bench run experiments/small.yaml
expect_status 0 bench export small
expect_line out.txt '^results/small/tensorboard: 5 runs, [0-9]+ numbers'
numbers=$(grep -oE '[0-9]+ numbers' out.txt)
[ "$(ls results/small/tensorboard | wc -l)" = 5 ] || fail "not a folder for each run"
file=$(ls results/small/tensorboard/mask_ratio=0-*/events.out.tfevents.*.flipbench)
for tag in train/loss train/learning_rate eval/openclipart/zeroshot_top1; do
  grep -qaF "$tag" "$file" || { strings "$file" | sort -u | head -20; fail "no $tag in the event file"; }
done
grep -qaF 'brain.Event:2' "$file" || fail "not an event file of version 2"

# Doing it again writes the same bytes; an older run's file goes.
cp "$file" before && touch "$(dirname "$file")/events.out.tfevents.1.flipbench"
expect_status 0 bench export experiments/small.yaml
cmp "$file" before || fail "the same record gave another file"
[ "$(ls "$(dirname "$file")" | wc -l)" = 1 ] || fail "the older run's events stayed"

# So do the curves of a run that was archived; what else lies there stays.
exported=results/small/tensorboard
mkdir "$exported/other-01234567" && cp before "$exported/other-01234567/events.out.tfevents.1.flipbench"
number=$(ask "SELECT id FROM run WHERE directory GLOB 'small/mask_ratio=0.75-*'")
expect_status 0 bench runs archive "$number"
expect_status 0 bench export small
expect_line out.txt ': 3 runs, ' # the tuning that was made from it is no result either
! ls -d "$exported"/mask_ratio=0.75-* || fail "an archived run is still shown"
expect_status 0 bench runs restore "$number"
expect_status 0 bench export small
touch "$(ls -d "$exported"/mask_ratio=0.75-*)/notes"
expect_status 0 bench runs archive "$number"
expect_status 0 bench export small
[ "$(ls "$exported"/mask_ratio=0.75-*)" = notes ] || fail "not exactly the event file was removed"
[ "$(ls "$exported/other-01234567" | wc -l)" = 1 ] || fail "another experiment's curves were removed"
rm -r "$exported"/mask_ratio=0.75-*/ "$exported/other-01234567"
expect_status 0 bench runs restore "$number"
expect_status 0 bench export small
expect_status 0 bench db rebuild
[ "$(ls -d results/small/*/ | wc -l)" = 7 ] || { ls results/small; fail "what was exported disturbs the record"; }

expect_status 0 bench export small --format csv --out curves --axis samples
expect_line out.txt "^curves: 5 runs, $numbers"
head -1 curves/metrics.csv | grep -qF 'experiment,run,label,step,samples,train_seconds,timestamp_ms,metric,value' || fail "other columns"
! grep -qE '^([^,]*,){3}[^,]*[.e]|^([^,]*,){6}[^,]*[.e]' <(tail -n +2 curves/metrics.csv | sed 's/mask_ratio=0\.[0-9]*//g') || fail "steps and times are no whole numbers"
sqlite3 :memory: ".import --csv curves/metrics.csv m" ".import --csv curves/params.csv p" \
  "SELECT count(*) FROM m WHERE step <> samples" \
  "SELECT count(DISTINCT run) FROM m JOIN p USING (run) WHERE key = 'mask_ratio' AND p.value = '0.5'" \
  "SELECT min(timestamp_ms) > 1e12 FROM m" \
  "SELECT min(length(value)) FROM p WHERE key = 'init_from'" \
  "SELECT count(*) FROM p WHERE value LIKE '\"%'" > told.txt
[ "$(tr '\n' ' ' < told.txt)" = "0 1 1 0 0 " ] || { cat told.txt; fail "the table does not say what it should"; }
for name in loss learning_rate logit_scale grad_norm train_seconds; do
  sqlite3 :memory: ".import --csv curves/metrics.csv m" \
    "SELECT value FROM m WHERE metric = 'train/$name' AND label = 'mask_ratio=0' ORDER BY step + 0" > exported.txt
  ask "SELECT $name FROM step JOIN run ON run.id = run_id JOIN experiment_cell USING (cell_id) WHERE label = 'mask_ratio=0' ORDER BY step" > wanted.txt
  paste exported.txt wanted.txt | awk 'NF != 2 || ($1 - $2) ^ 2 > 1e-20 { bad = 1 } END { exit bad || !NR }' || fail "$name differs from the database's"
done

expect_status 2 bench export small --format parquet
expect_line err.txt "'parquet' is not tensorboard or csv"
expect_status 2 bench export small --axis epochs
expect_line err.txt "'epochs' is not step or samples"
# Only what is written is promised: other programs import the CSV.
expect_status 0 bench --help
expect_line out.txt '^ +export +export curves to TensorBoard or CSV$'
