. "$SOURCE/tests/support/sweep.sh"
expect_status 0 bench run experiments/small.yaml
bench report small --format json > before.json
dump() { ask "SELECT cell_id, status FROM run ORDER BY cell_id; SELECT cell_id, step, loss, train_seconds FROM step JOIN run ON run.id = run_id ORDER BY 1, 2; SELECT cell_id, set_name, task, metric, step, value FROM evaluation JOIN run ON run.id = run_id ORDER BY 1, 2, 3, 4, 5; SELECT cell_id, name, value FROM summary JOIN run ON run.id = run_id ORDER BY 1, 2"; }
dump > before.txt
[ "$(wc -l < before.txt)" -gt 500 ] || fail "the comparison is empty"

# Garbage in the file: said in one sentence, and rebuild restores every number.
printf 'not a database' > results/flipbench.db
rm -f results/flipbench.db-wal results/flipbench.db-shm
expect_status 1 bench report small
expect_line err.txt 'flipbench db rebuild'
expect_status 0 bench db rebuild
dump > after.txt
cmp before.txt after.txt || fail "the rebuilt database differs"
bench report small --format json > after.json
cmp before.json after.json || fail "the rebuilt table differs"

# After a kill the last changes are only in the database's log, which the old one keeps.
sqlite3 results/flipbench.db "UPDATE run SET note = 'only in the log' WHERE id = 1" '.system kill -KILL $PPID' > killed.txt 2>&1 && fail "sqlite3 was not killed"
[ -s results/flipbench.db-wal ] || fail "there is no log"
expect_status 0 bench db rebuild
[ "$(sqlite3 results/flipbench.db.old 'SELECT note FROM run WHERE id = 1')" = 'only in the log' ] || fail "the old database lost its last change"
[ ! -s results/flipbench.db-wal ] || fail "the new database has the old one's log"

# Gone altogether: a run finds its cells finished all the same.
rm results/flipbench.db*
expect_status 0 bench db rebuild
before=$(sha256sum results/small/*/attempts.jsonl)
expect_status 0 bench run experiments/small.yaml
[ "$before" = "$(sha256sum results/small/*/attempts.jsonl)" ] || fail "a finished cell ran again"

# A first line that was cut does not lose the run, and a damaged record of an experiment not the others.
cp -r results cut
rm cut/flipbench.db*
run=$(ls -d cut/small/mask_ratio=0-*)
(echo '{"event":"attempt_st'; cat "$run/attempts.jsonl") > lines && mv lines "$run/attempts.jsonl"
expect_status 0 bench db rebuild --results cut
expect_line out.txt "from $(ls -d results/small/*/attempts.jsonl | wc -l) runs"
: > cut/small/experiment.json
expect_status 0 bench db rebuild --results cut
expect_line err.txt "cut/small/experiment.json: .*its runs are read, but not its tables"

# A run whose record lost steps has no time, instead of the time of those that are left.
cp -r results holes
events=$(ls holes/small/mask_ratio=0-*/events.jsonl)
[ "$(sqlite3 holes/flipbench.db "SELECT count(*) FROM summary JOIN run ON run.id = run_id WHERE directory GLOB 'small/mask_ratio=0-*' AND name IN ('train_seconds', 'samples_per_second')")" = 2 ] || fail "no time before"
grep -v '"event":"step","step":3,\|"event":"step".*"step":3[,}]' "$events" > less && [ "$(wc -l < less)" -lt "$(wc -l < "$events")" ] || fail "no step 3"
mv less "$events"
expect_status 0 bench db rebuild --results holes
[ "$(sqlite3 holes/flipbench.db "SELECT count(*) FROM summary JOIN run ON run.id = run_id WHERE directory GLOB 'small/mask_ratio=0-*' AND name IN ('train_seconds', 'samples_per_second')")" = 0 ] || fail "a time of some of the steps"

# Numbers that an earlier version derived by other rules are made again.
sqlite3 results/flipbench.db "UPDATE summary SET value = 1 WHERE name = 'samples_per_second'; PRAGMA application_id = 1"
expect_status 0 bench report small --format json
dump > again.txt
cmp after.txt again.txt || fail "the numbers of older rules stay"

# A database of a later flipbench is not touched.
version=$(ask 'PRAGMA user_version')
sqlite3 results/flipbench.db 'PRAGMA user_version = 99'
expect_status 2 bench status
expect_line err.txt 'newer flipbench \(schema 99'

sqlite3 results/flipbench.db "PRAGMA user_version = $version"

# A sweep that is running would go on writing to the old database: refused, and nothing is touched.
sed 's/^name: .*/name: slow/; s/samples: 8k/samples: 7k/' experiments/small.yaml > experiments/slow.yaml
FAKE_STEP_MS=20 "$FLIPBENCH" run experiments/slow.yaml --results results --no-progress > slow.txt 2>&1 & sweep=$!
for _ in $(seq 200); do [ -n "$(ls -d results/slow/mask* 2>/dev/null)" ] && break; sleep 0.05; done
expect_status 2 bench db rebuild
expect_line err.txt "results/slow: 'flipbench run' is running"
kill -INT $sweep; wait $sweep || true
expect_status 0 bench run experiments/slow.yaml
expect_answer "SELECT count(*) FROM v_cell_latest WHERE experiment = 'slow' AND status = 'finished'" 5
expect_status 0 bench db rebuild
expect_answer "SELECT count(*) FROM v_cell_latest WHERE experiment = 'slow' AND status = 'finished'" 5

# A finished run whose events are gone, or were cut, is not taken for one that recorded nothing.
rm -rf cut && cp -r results cut && rm cut/flipbench.db*
rm cut/small/mask_ratio=0-*/events.jsonl
events=$(ls cut/small/mask_ratio=0.5-*/events.jsonl)
head -n 9 "$events" > less && mv less "$events"
expect_status 0 bench db rebuild --results cut
for run in mask_ratio=0 mask_ratio=0.5; do
  expect_line err.txt "cut/small/$run-.*/events.jsonl: attempts.jsonl says that the run finished, but events.jsonl has no end event"
done
[ "$(grep -c 'no end event' err.txt)" = 2 ] || fail "whole runs were reported"
# Nor are half of its steps and an evaluation before the last a result, or good for a claim.
bench report small --format json --results cut > cut.json
[ "$(sqlite3 :memory: "SELECT group_concat(cell.key) FROM json_each(readfile('cut.json'), '\$.rows') AS r, json_each(r.value, '\$.values') AS cell WHERE r.value ->> '\$.row.mask_ratio' = '0.5' AND cell.value ->> 'value' IS NOT NULL")" = tuned_zero_shot_top1 ] || fail "numbers of half a run: $(cat cut.json)"
cp experiments/small.yaml experiments/claimed.yaml
cat >> experiments/claimed.yaml <<'E'
claims:
  - {claim: hits, metric: zero_shot_top1, of: {mask_ratio: 0.5}, against: {mask_ratio: 0.75}, expect: greater}
  - {claim: loss, compare: ratio, metric: final_loss, of: {mask_ratio: 0.5}, against: {mask_ratio: 0.75}, expect: smaller}
  - {claim: work, compare: ratio, metric: flops_per_sample, of: {mask_ratio: 0.5}, against: {mask_ratio: 0.75}, expect: greater}
E
expect_status 0 bench report experiments/claimed.yaml --claims --results cut
expect_line out.txt '^- hits: not run: mask_ratio=0.5 has lost events'
expect_line out.txt '^- loss: not run: mask_ratio=0.5 has lost events'
expect_line out.txt '^- work: .*; holds$'
rm experiments/claimed.yaml
expect_status 0 bench report small --format html --results cut
grep -q 'events.jsonl has no end event' cut/small/report.html || fail "the page does not say what is missing"
run=$(sqlite3 cut/flipbench.db "SELECT min(run_id) FROM warning WHERE kind = 'no_end'")
expect_status 0 bench show "$run" --json --results cut
expect_line out.txt '"warnings":\[.*\{"kind":"no_end","message":"attempts.jsonl says that the run finished, but'
cp results/small/mask_ratio=0-*/events.jsonl cut/small/mask_ratio=0-*/
expect_status 0 bench run experiments/small.yaml --results cut
[ "$(sqlite3 cut/flipbench.db "SELECT count(*) FROM warning WHERE kind = 'no_end'")" = 1 ] || fail "a restored stream is still missed"

# An evaluation before the last one does not pass for the result where the last one's line was damaged.
rm -rf holed && cp -r results holed && rm holed/flipbench.db*
events=$(ls holed/small/mask_ratio=0-*/events.jsonl)
last=$(grep -o '^{"event":"end".*"step":[0-9]*' "$events" | tail -1 | grep -o '[0-9]*$')
sed "/^{\"event\":\"eval\".*\"step\":$last,/s/\"event\":\"eval\"/\"event\":\"evil\"/" "$events" > less
cmp -s less "$events" && fail "no evaluation was damaged"
mv less "$events"
expect_status 0 bench db rebuild --results holed
[ "$(grep -c "has lost the evaluation at the last step, $last, on " err.txt)" = 1 ] || fail "the lost evaluation was not reported, or others were"
for format in text markdown csv latex json html; do
  expect_status 0 bench report small --format $format --results holed --out holed.$format
  grep -q "has lost the evaluation at the last step, $last, on " holed.$format || fail "$format does not say what was lost"
done
expect_status 0 bench report small --results holed
expect_line out.txt '^– .*zero-shot top-1.* of mask 0 %: its last evaluation of it is not in the record$'
expect_status 0 bench plot small --results holed
grep -q '1 run lost events, maybe of the last evaluation' holed/small/plots/*.svg || fail "figures do not say what was lost"
expect_status 0 bench run experiments/small.yaml --results holed
grep -q 'events lost: the run' holed/index.html || fail "the index does not say what was lost"
cp results/small/mask_ratio=0-*/events.jsonl holed/small/mask_ratio=0-*/
expect_status 0 bench db rebuild --results holed
[ "$(sqlite3 holed/flipbench.db "SELECT count(*) FROM warning WHERE kind = 'no_evaluation'")" = 0 ] || fail "a restored evaluation is still missed"
