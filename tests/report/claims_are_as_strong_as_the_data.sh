. "$SOURCE/tests/support/sweep.sh"
# One seed, 790 images: differences that these cannot tell are not called any, in any format.
cat > experiments/one.yaml <<'Y'
name: one
settings: {samples: 60k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 6}
matrix: {mask_ratio: [0, 0.5, 0.75]}
report:
  rows: mask_ratio
  baseline: {mask_ratio: 0}
  iso: retrieval_i2t_r1
  columns: [samples_per_second, speedup, time_ratio, wall_time_ratio, zero_shot_top1,
            retrieval_i2t_r1, iso_speedup]
  plots: [accuracy_vs_time]
claims:
  - {claim: elapsed, compare: ratio, metric: train_seconds, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: smaller}
Y
expect_status 0 env FAKE_DISTURB=mask_ratio=0.5 "$FLIPBENCH" run experiments/one.yaml --no-progress
expect_status 0 bench report one
expect_line out.txt 'a speed-up of .*95 % interval .*one seed, 790 images\), not significantly different from 1'
expect_line out.txt 'image→text R@1 .*of mask 50 % minus that of mask 0 %: .*no significant difference; it would take about [0-9,]+ images'
expect_line out.txt "^one seed, 790 evaluation images of 'openclipart' · 95 % intervals cover these runs only"
! grep -q 'sooner' out.txt || fail "a difference is claimed that 790 images cannot tell"
expect_line out.txt '^- elapsed: .* one seed †; '
title() { grep ^title_text "$1/accuracy_vs_time.gp"; }
grep -q "against training time: no significant speed-up'" results/one/plots/accuracy_vs_time.gp || fail "the figure's title claims more: $(title results/one/plots)"
# Without the pace of one row the speed-ups are not all tested; without that of any none is determined.
for row in '0.75' '0*'; do
  sqlite3 results/flipbench.db "VACUUM INTO 'pace-$row.db'"
  sqlite3 "pace-$row.db" "INSERT OR REPLACE INTO summary SELECT run_id, name, 0.99 FROM v_cell_latest,
    (SELECT value AS name FROM json_each('[\"disturbed\", \"disturbed_share\", \"lost_share\"]')) WHERE experiment = 'one' AND label GLOB 'mask_ratio=$row'"
  expect_status 0 bench plot one --db "pace-$row.db" --format svg --out "pace-$row"
done
grep -q "against training time'" pace-0.75/accuracy_vs_time.gp || fail "the title tells of a speed-up that was not tested: $(title pace-0.75)"
grep -q "against training time: speed-ups not determined'" 'pace-0*/accuracy_vs_time.gp' || fail "the title tells of unbounded speed-ups: $(title 'pace-0*')"
# An accuracy has an interval from one seed, and the best of a column is best by more than that.
bench report one --format json > one.json
# What a report in JSON says: SQL over its rows `r`.
says() { [ "$(sqlite3 -batch :memory: "SELECT $2 FROM (SELECT json_group_array(value) AS r FROM json_each(readfile('$1'), '\$.rows'))")" = 1 ] || { cat "$1" >&2; fail "$3"; }; }
for metric in retrieval_i2t_r1 zero_shot_top1; do
  for row in 0 1 2; do
    v="'\$[$row].values.$metric"
    says one.json "(r ->> $v.low') < (r ->> $v.value') AND (r ->> $v.value') < (r ->> $v.high') AND (r ->> $v.seeds') = 1 AND (r ->> $v.images') = 790" "$metric has no interval"
  done
done
for row in 0 1 2; do
  says one.json "(r ->> '\$[$row].values.retrieval_i2t_r1.best') = 0" "an accuracy is best by chance"
done
says one.json "(r ->> '\$[2].values.samples_per_second.best') = 1" "the fastest is not the best"
# Speed-up, time ratio and iso-accuracy are of one measure of time, whatever else the machine did;
# disturbed rows are marked, and elapsed time is shown next to the steady pace.
v="'\$[1].values"
says one.json "abs((r ->> $v.speedup.value') * (r ->> $v.time_ratio.value') - 1) < 0.02 AND (r ->> $v.wall_time_ratio.value') > 0.9" "two measures of time"
says one.json "(r ->> '\$[1].disturbed') = 1 AND (r ->> '\$[1].lost_share') > 0.2 AND (r ->> '\$[0].disturbed') = 0" "not marked in JSON"
bench report one > out.txt
! grep -q 'was not measured' out.txt || { cat out.txt; fail "what was measured is said not to be"; }
expect_line out.txt '^50 % † '
expect_line out.txt '^† disturbed by other work on the machine: mask 50 %, 3[0-9] % of its time lost'
for format in markdown latex html; do bench report one --format $format > $format.txt; done
grep -q '| 50 % † |' markdown.txt || fail "not marked in Markdown"
grep -q 'dagger' latex.txt || fail "not marked in LaTeX"
grep -q '"warnings":\["† disturbed' results/one/report.html || fail "the page's top does not say it"
grep -q '50 % †' results/one/plots/accuracy_vs_time.gp || fail "not marked in the figure"
# Where the machine tells nothing that would show a disturbance, a row without † is not an undisturbed one.
sqlite3 results/flipbench.db "VACUUM INTO 'unmeasured.db'"
sqlite3 unmeasured.db "DELETE FROM summary WHERE name IN ('disturbed', 'disturbed_share', 'lost_share')
  AND run_id IN (SELECT run_id FROM v_cell_latest WHERE experiment = 'one' AND label LIKE '%mask_ratio=0 %' OR label LIKE '%mask_ratio=0')"
bench report one --db unmeasured.db > out.txt
expect_line out.txt '^† disturbed by other work on the machine: .*; disturbance by other work was not measured: mask 0 %$'
bench report one --format csv > one.csv
head -1 one.csv | grep -q 'iso_speedup_low,iso_speedup_high' || fail "the ends of an interval are not in the CSV"
head -1 one.csv | grep -q 'retrieval_i2t_r1_from_baseline_low' || fail "no difference in the CSV"

# Three seeds, and an evaluation that one of them lacks: curves are matched by step.
cat > experiments/three.yaml <<'Y'
name: three
settings: {samples: 50k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 6}
matrix: {mask_ratio: [0, 0.75], seed: [0, 1, 2]}
report: {rows: mask_ratio, baseline: {mask_ratio: 0}, iso: retrieval_i2t_r1, columns: [speedup, retrieval_i2t_r1, iso_speedup], plots: [accuracy_vs_samples]}
Y
expect_status 0 bench run experiments/three.yaml --no-progress
bench report three --format json > three.json
says three.json "(r ->> '\$[0].values.retrieval_i2t_r1.seeds') = 3 AND (r ->> '\$[1].values.retrieval_i2t_r1.seeds') = 3" "not three seeds"
# A slow-down that the data support is in the title, as a speed-up is, without the arrow of one.
sed 's/name: three/name: back/; s/baseline: {mask_ratio: 0}/baseline: {mask_ratio: 0.75}/; s/accuracy_vs_samples/accuracy_vs_time/' experiments/three.yaml > experiments/back.yaml
expect_status 0 bench run experiments/back.yaml --no-progress
expect_line out.txt 'mask 0 % reaches .* times later'
grep -qE "^title_text = 'Mask 0 % reaches image→text R@1 [0-9.]+ % [0-9.]+× later than mask 75 %" results/back/plots/accuracy_vs_time.gp || fail "the title: $(grep title_text results/back/plots/accuracy_vs_time.gp)"
grep -q '^has_iso = 0' results/back/plots/accuracy_vs_time.gp || fail "an arrow for a slow-down"
first=$(ask "SELECT min(step) FROM evaluation JOIN run ON run.id = run_id JOIN experiment_cell USING (cell_id) WHERE label LIKE '%=0.75 seed=1'")
sed -i "/\"event\":\"eval\".*\"step\":$first,/d" results/three/mask_ratio=0.75*seed=1-*/events.jsonl
expect_status 0 bench db rebuild
expect_status 0 bench plot three --format svg
awk '/^\$points/{on=1;next} /^EOD/{on=0} on' results/three/plots/accuracy_vs_samples.gp > points.txt
[ "$(awk 'NF==0{block++} NF{n[block+0]++} END{print n[0]+0, n[2]+0}' points.txt)" = "6 5" ] || fail "curves were not matched by step: $(cat points.txt)"
[ "$(awk 'NF==0{block++} block==2 && NF{print $1; exit}' points.txt)" = "$(awk 'NR==2{print $1}' points.txt)" ] || fail "points of other steps were averaged"

# A run without its accuracy, a metric that is no number: said, and nothing breaks.
sed -i '/"event":"eval"/d' results/three/*/events.jsonl
expect_status 0 bench db rebuild
expect_status 0 bench report three
expect_line out.txt 'the run has no evaluation set for it'
expect_status 0 bench plot three --format svg
expect_line err.txt 'figure accuracy_vs_samples not drawn: no finished run has recorded its values'
expect_status 0 bench report three --format html
grep -q 'accuracy_vs_samples: not drawn: no finished run has recorded its values' results/three/report.html || fail "the page does not say why"

# A metric that is null is no number, not nought.
sed -i 's/"top1":[0-9.e-]*/"top1":null/' results/one/mask_ratio=0-*/events.jsonl
expect_status 0 bench db rebuild
expect_status 0 bench report one
expect_line out.txt '^– zero-shot top-1 of mask 0 %: the measured value was not a number'
bench report one --format csv > one.csv

# Rows that were given different data are rows of their own, and compared with nothing.
expect_status 0 bench run experiments/small.yaml --no-progress
sed -i 's/"data_fingerprint":"[^"]*"/"data_fingerprint":"0000000000"/' results/small/mask_ratio=0-*/events.jsonl
expect_status 0 bench db rebuild
expect_status 0 bench report small
expect_line out.txt '^ ?0 % ‡'
expect_line out.txt '^‡ other training data than the newest run'
expect_line out.txt 'the baseline had other inputs, or ran on another machine'

# Those that had other evaluation sets, too, differ from these as well.
sed -i 's/"data_fingerprint":"[^"]*"/"data_fingerprint":"0000000000"/; s/"c1a551f1ca710n"/"0000000000"/' results/small/mask_ratio=0.5-*/events.jsonl
expect_status 0 bench db rebuild
expect_status 0 bench report small
expect_line out.txt '^‡ other training data than the newest run .*: mask 0 %$'
expect_line out.txt '^‡ other training data and evaluation sets than the newest run .*: mask 50 %$'
expect_status 0 bench plot small --figure memory --format svg --out other
grep -q "^source_line = '‡ other training data · ‡ other training data and evaluation sets · small" other/memory.gp || fail "the figure names other inputs: $(grep source_line other/memory.gp)"
bench report small --format json > small.json
says small.json "(r ->> '\$[1].values.speedup.value') IS NULL AND (r ->> '\$[1].values.zero_shot_top1.from_baseline') IS NULL" "rows on other evaluation sets are compared"

# However many inputs there were, no row has runs of two.
cat > experiments/many.yaml <<'Y'
name: many
settings: {samples: 1k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 1}
matrix: {mask_ratio: [0, 0.5], seed: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]}
report: {rows: mask_ratio, columns: [zero_shot_top1], plots: []}
Y
expect_status 0 bench run experiments/many.yaml --no-progress
inputs=0
for events in results/many/*/events.jsonl; do
  sed -i "s/\"data_fingerprint\":\"[^\"]*\"/\"data_fingerprint\":\"$((inputs++))\"/" "$events"
done
expect_status 0 bench db rebuild
bench report many --format json > many.json
[ "$(sqlite3 :memory: "SELECT count(*), max(value ->> 'finished') FROM json_each(readfile('many.json'), '\$.rows')")" = '40|1' ] ||
  fail "runs of other inputs share a row: $(sqlite3 :memory: "SELECT count(*), max(value ->> 'finished') FROM json_each(readfile('many.json'), '\$.rows')")"

# An iso-accuracy speed-up counts the time of the tunings that continue its curves: it needs their
# steady pace, and the machine and threads of the others.
rm -rf results
expect_status 0 bench run experiments/small.yaml --no-progress
sqlite3 results/flipbench.db "INSERT OR REPLACE INTO summary SELECT run_id, name, 0.99 FROM v_cell_latest,
  (SELECT value AS name FROM json_each('[\"disturbed\", \"disturbed_share\", \"lost_share\"]')) WHERE label LIKE '%=0.75 %tuning'"
bench report small --format json > tuned.json
says tuned.json "(r ->> '\$[2].disturbed') = 1 AND (r ->> '\$[2].lost_share') = 0.99 AND (r ->> '\$[1].disturbed') = 0" "a disturbed tuning is not marked"
says tuned.json "(r ->> '\$[2].values.iso_speedup.unbounded') = 1 AND (r ->> '\$[2].values.speedup.unbounded') IS NULL" "a speed-up without the pace of the tuning"
sed -i 's/"threads":2/"threads":7/' results/small/mask_ratio=0.75*tuning*/events.jsonl
expect_status 0 bench db rebuild
bench report small --format json > tuned.json
says tuned.json "(r ->> '\$[2].values.iso_speedup.value') IS NULL AND (r ->> '\$[1].values.iso_speedup.value') > 0 AND (r ->> '\$[2].values.speedup.value') > 0" "times of other threads are added to the curve"
says tuned.json "(r ->> '\$[2].values.iso_speedup.missing') LIKE '%ran on another machine, in another precision, or on another number of ranks or threads'" "no reason for the missing speed-up"

# Nor are times on other numbers of threads compared; accuracies are.
rm -rf results
expect_status 0 bench run experiments/small.yaml --no-progress
bench report small --format json > whole.json
sed -i 's/"threads":2/"threads":7/' results/small/mask_ratio=0.75*/events.jsonl
expect_status 0 bench db rebuild
expect_status 0 bench report small
expect_line out.txt 'the runs of this table differ in their threads: times on different numbers of threads are not compared'
expect_line out.txt 'the baseline had other inputs, or ran on another machine, in another precision, or on another number of ranks or threads'
bench report small --format json > mixed.json
expect_status 0 bench plot small --figure accuracy_vs_time --format svg --out mixed
expect_status 0 bench plot small --figure memory --format svg --out mixed
expect_status 0 bench plot small --figure throughput --format svg --out mixed
expect_status 0 bench plot small --figure 'train_seconds against mask_ratio' --format svg --out mixed
awk '/^\$ideal/ { on = 1; next } /^EOD/ { on = 0 } on { print $1 }' mixed/throughput.gp | diff - <(echo 1) || fail "a speed by FLOPs of a baseline with other threads"
for figure in accuracy_vs_time train_seconds_against_mask_ratio; do
  grep -q '^source_line = .times not comparable: runs differ in their threads' mixed/$figure.gp || fail "$figure compares times of other threads in silence"
done
! grep -q 'not comparable' mixed/memory.gp || fail "memory is said to be a time"
compared() { sqlite3 -batch :memory: "SELECT sum(json_extract(value, '\$.values.speedup.value') IS NOT NULL), sum(json_extract(value, '\$.values.samples_per_second.value') IS NOT NULL) FROM json_each(readfile('$1'), '\$.rows')"; }
says mixed.json "(r ->> '\$[1].values.speedup.runs[0]') > 0 AND (r ->> '\$[2].values.speedup.runs[0]') IS NULL" "a run's speed-up over one on other threads"
[ "$(compared whole.json)" != "$(compared mixed.json)" ] && [ "$(compared whole.json | cut -d'|' -f2)" = "$(compared mixed.json | cut -d'|' -f2)" ] ||
  fail "speed-ups: $(compared whole.json) with the same threads, $(compared mixed.json) with others"
cat >> experiments/small.yaml <<'Y'
claims:
  - {claim: CPU, compare: ratio, metric: cpu_seconds, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: smaller}
  - {claim: CPU alike, compare: ratio, metric: cpu_seconds, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: equal, than: 1, within: 9}
Y
sqlite3 results/flipbench.db "INSERT OR REPLACE INTO summary SELECT run_id, 'cpu_seconds', 3 FROM v_cell_latest"
expect_status 0 bench report experiments/small.yaml
expect_line out.txt '^- CPU: cannot tell; the rows ran on different machines, in different precisions, or on different numbers of ranks or threads, or changed these while they ran$'
expect_line out.txt '^- CPU alike: .*: 1\.00, one seed; '

# Memory of a GPU is not compared with that of a process, nor that of runs on other numbers of ranks;
# threads and processors make no difference to it.
sed -i '/claim: CPU/d' experiments/small.yaml
echo '  - {claim: memory, compare: ratio, metric: peak_memory, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: smaller}' >> experiments/small.yaml
expect_status 0 bench report experiments/small.yaml
expect_line out.txt '^- memory: .*: 0\.[0-9]+, one seed; '
sed -i 's/"device":"cpu"/"device":"cpu","ranks":1/' results/small/*/events.jsonl
sed 's/"ranks":1/"ranks":2/' results/small/mask_ratio=0.75-*/events.jsonl > ranks.jsonl
sed 's/"device":"cpu"/"device":"cuda"/' results/small/mask_ratio=0.75-*/events.jsonl > cuda.jsonl
for other in ranks cuda; do
  cp $other.jsonl results/small/mask_ratio=0.75-*/events.jsonl
  expect_status 0 bench db rebuild
  expect_status 0 bench report experiments/small.yaml
  expect_line out.txt '^- memory: cannot tell; the rows ran on different devices or numbers of ranks$'
done

# The page's mean curve is of the runs that the table counts: one that failed half way is drawn, named
# as such, and no part of it.
cat > experiments/half.yaml <<'Y'
name: half
settings: {samples: 8k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 4}
matrix: {mask_ratio: [0], seed: [0, 1, 2]}
report: {rows: mask_ratio, columns: [zero_shot_top1], plots: []}
Y
(export FAKE_NAN=seed=2; expect_status 1 bench run experiments/half.yaml --no-progress)
sed -n 's/.*id="data">\(.*\)<\/script>.*/\1/p' results/half/report.html > page.json
lines() { sqlite3 -batch :memory: "SELECT group_concat($1, '; ') FROM json_each(readfile('page.json'), '\$.curves[0].series')"; }
got=$(lines "value ->> 'name'")
[ "$got" = 'mask_ratio=0 seed=0; mask_ratio=0 seed=1; mask_ratio=0 seed=2 (failed); mask 0 %' ] || fail "the lines are named '$got'"
got=$(lines "(value ->> 'is_mean') || (value ->> 'has_mean') || json_array_length(value, '\$.points')")
[ "$got" = '014; 014; 001; 114' ] || fail "the mean is not of the finished runs: $got"

# The smallest of the slow-downs is not the best of its column: the baseline is sooner. Of speed-ups the greatest is.
cat > experiments/later.yaml <<'Y'
name: later
settings: {samples: 20k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 6}
matrix: {mask_ratio: [0, 0.75, 0.9], seed: [0, 1, 2]}
tuning: {unmasked: {from: "${cell}", unless: {mask_ratio: 0}, mask_ratio: 0, samples: 2k, eval.points: 2}}
report: {rows: mask_ratio, baseline: {mask_ratio: 0.9}, iso: retrieval_i2t_r1, columns: [iso_speedup], plots: []}
Y
sed 's/name: later/name: sooner/; s/baseline: {mask_ratio: 0.9}/baseline: {mask_ratio: 0}/' experiments/later.yaml > experiments/sooner.yaml
for name in later sooner; do
  expect_status 0 bench run experiments/$name.yaml --no-progress
  bench report $name --format json > $name.json
done
says later.json "(r ->> '\$[0].values.iso_speedup.high') < (r ->> '\$[1].values.iso_speedup.low') AND (r ->> '\$[1].values.iso_speedup.high') < 1" "the slow-downs are not told apart"
says later.json "(r ->> '\$[1].values.iso_speedup.best') = 0" "a slow-down is the best"
says sooner.json "(r ->> '\$[1].values.iso_speedup.high') < (r ->> '\$[2].values.iso_speedup.low')" "the speed-ups are not told apart"
says sooner.json "(r ->> '\$[2].values.iso_speedup.best') = 1" "the greatest speed-up is not the best"

# A speed-up of a few percent is told with as many digits: accuracies that differ far less than the times.
sed 's/name: sooner/name: near/; s/\[0, 0.75, 0.9\]/[0, 0.06]/; /^tuning/d; s/plots: .*/plots: [accuracy_vs_time]}/' experiments/sooner.yaml > experiments/near.yaml
expect_status 0 bench run experiments/near.yaml --no-progress
sqlite3 results/flipbench.db "VACUUM INTO 'near.db'"
sqlite3 near.db "DELETE FROM outcome; UPDATE evaluation SET value = 1e-4 * step + 1e-6 * ((run_id * run_id * 7919 + step * 31) % 101) WHERE metric = 'image_to_text_r1'"
expect_status 0 bench plot near --db near.db --format svg
grep -qE "^iso_text = '1\.0[3-6]× sooner \(1\.0[2-5] to 1\.0[3-7]\)'" results/near/plots/accuracy_vs_time.gp || fail "the arrow: $(grep iso_text results/near/plots/accuracy_vs_time.gp)"
grep -qE "^title_text = 'Mask 6 % reaches image→text R@1 [0-9.]+ % 1\.0[3-6]× sooner than mask 0 %'" results/near/plots/accuracy_vs_time.gp || fail "the title: $(grep title_text results/near/plots/accuracy_vs_time.gp)"
