. "$SOURCE/tests/support/sweep.sh"
# What a reader who quotes a table needs is printed with it: the profile, the sets, what the intervals
# cover, which quantity a claim judges; and nothing is printed as known that the runs do not determine.
cat > experiments/quoted.yaml <<'E'
name: quoted
title: "Mask ratio"
source: "Someone 2023, Table 1: a large model"
settings: {samples: 60k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 6}
matrix: {mask_ratio: [0, 0.5, 0.75], seed: [0, 1]}
profiles: {mini: {}, paper: {}}
report:
  rows: mask_ratio
  baseline: {mask_ratio: 0}
  iso: retrieval_i2t_r1
  columns: [samples_per_second, time_ratio, retrieval_i2t_r1]
  reference: [{mask_ratio: 0.5, time_ratio: 0.5, retrieval_i2t_r1: 60}]
  plots: [throughput]
claims:
  - {claim: faster, compare: ratio, metric: steady_seconds, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: smaller}
  - {claim: better, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater}
  - {claim: best, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, expect: greater}
E
expect_status 0 bench run experiments/quoted.yaml --profile mini --no-progress
expect_status 0 bench report quoted@mini
expect_line out.txt '^Mask ratio \(profile mini\)$'
expect_line out.txt '^\(in brackets: Someone 2023, Table 1: a large model, and the difference from it; another model and other data: compare differences between rows, not values\)$'
expect_line out.txt "^2 seeds, 790 evaluation images of '[a-z]+' · 95 % intervals: accuracies over other seeds and images, other numbers over other seeds · speeds"
expect_line out.txt '^- faster: time of mask 50 % over that of mask 0 %: 0\.'
expect_line out.txt '^- better: image→text R@1 \(%\) of mask 50 % minus that of mask 0 %: [+−0]'
expect_line out.txt '^- best: image→text R@1 \(%\) of mask 50 % minus that of mask (0|75) % \(the row least favourable to the claim\): '
for format in markdown latex html; do
  bench report quoted@mini --format $format > out.txt
  [ $format != html ] || cp results/quoted@mini/report.html out.txt
  expect_line out.txt 'another model and other data: compare differences between rows'
done
expect_line out.txt '"quantity":"image→text R@1 \(%\) of mask 50 % minus that of mask 0 %"'
bench report quoted@mini --format csv --claims | tr -d '\r' > claims.csv
[ "$(sqlite3 :memory: '.import --csv claims.csv c' "SELECT quantity FROM c WHERE claim = 'faster'")" = 'time of mask 50 % over that of mask 0 %' ] || fail "no quantity in CSV"
expect_status 0 bench run experiments/quoted.yaml --profile paper --no-progress
expect_status 0 bench report quoted@paper
expect_line out.txt '^\(in brackets: Someone 2023, Table 1: a large model, and the difference from it\)$'

# A published value with a source of its own is named with it, in every format.
cp experiments/quoted.yaml quoted.yaml
sed -i 's/reference: .*/reference: [{mask_ratio: 0.5, time_ratio: 0.5}, {mask_ratio: 0.5, retrieval_i2t_r1: 60, source: "Other 2024, Table 9"}]/' experiments/quoted.yaml
for format in text markdown latex html; do
  bench report quoted@paper --format $format > out.txt
  [ $format != html ] || cp results/quoted@paper/report.html out.txt
  expect_line out.txt '[Ii]n brackets: Someone 2023, Table 1: a large model; of image(→|\$\\to\$)text R@1: Other 2024, Table 9, and the difference from it'
done
expect_line out.txt '"reference":"60\.0, [^"]*\(Other 2024, Table 9\)"'
expect_line out.txt '"reference":"0\.50, [^"]*\(Someone 2023, Table 1: a large model\)"'
cp quoted.yaml experiments/quoted.yaml

# A contrastive loss is of its batch size: those of others are not compared.
cat > experiments/batches.yaml <<'E'
name: batches
settings: {samples: 8k, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 1}
matrix: {batch_size: [64, 256], seed: [0, 1]}
report: {rows: batch_size, columns: [final_loss], plots: []}
claims:
  - {claim: lower, compare: ratio, metric: final_loss, of: {batch_size: 64}, against: {batch_size: 256}, expect: smaller}
E
expect_status 0 bench run experiments/batches.yaml --no-progress
expect_status 0 bench report batches
expect_line out.txt '^the training loss depends on the batch size, which differs: losses of different batch sizes are not compared$'
expect_line out.txt '^- lower: cannot tell; losses of different batch sizes are not compared$'
bench report quoted@mini > out.txt
! grep -q 'depends on the batch size' out.txt || fail "a note on the loss of a table without one"

# Runs without undisturbed steps do not determine a time: no difference from the published one, no
# speed-up, and what to do. An accuracy does not depend on other load and has no mark.
sqlite3 results/flipbench.db "DELETE FROM summary WHERE name IN ('disturbed', 'disturbed_share', 'lost_share');
  INSERT OR REPLACE INTO summary SELECT run_id, name, 0.99 FROM v_cell_latest, (SELECT value AS name FROM
    json_each('[\"disturbed\", \"disturbed_share\", \"lost_share\"]')) WHERE run_id IS NOT NULL"
expect_status 0 bench report quoted@mini
expect_line out.txt '^50 % † .*\[0\.00, ∞\] \(0\.50\) '
expect_line out.txt '^mask 50 % † reaches .*, mask 0 % † in .*: the data do not determine the speed-up \(95 % interval unbounded; 2 seeds, 790 images\)$'
expect_line out.txt '^- faster: .* \(95 % interval unbounded\), 2 seeds †; cannot tell; other work left too few undisturbed steps; run it again on an idle machine'
! grep -E '^- be(tter|st): .*†' out.txt || fail "a disturbed accuracy"
expect_status 0 bench plot quoted@mini
expect_status 0 bench plot quoted@mini --figure 'time_ratio against mask_ratio'
grep -q '2 unbounded intervals are not drawn' results/quoted@mini/plots/time_ratio_against_mask_ratio.gp || fail "an interval without an end is drawn"
grep -q 'ratio not determined' results/quoted@mini/plots/throughput.gp || fail "the figure shows an undetermined ratio"
! grep -q ' inf\]' results/quoted@mini/plots/throughput.gp || fail "an infinite end in the figure"
# A curve ends at the number of the table, to the last bit, so that sentences and figures round it as
# the table does. Both take it from the images, not from the recorded mean of slightly other digits.
sqlite3 results/flipbench.db 'UPDATE evaluation SET value = value + 1e-10'
bench report quoted@paper --format json > out.txt
table=$(grep -oE '"retrieval_i2t_r1":\{"value":[0-9.]+' out.txt | sed -n '1s/.*://p')
expect_status 0 bench plot quoted@paper --figure accuracy_vs_time --format svg --out own
curve=$(awk '/^\$points/ { inside = 1; next } inside && NF == 0 { exit } inside { last = $2 } END { print last }' own/accuracy_vs_time.gp)
[ "$(printf %.10g "$table")" = "$curve" ] || fail "the curve ends at $curve, the table says $table"

# Names and numbers that would be taken for something else: a column of the name of a built-in one, a first
# cell that is LaTeX's optional argument, the images of another set, the samples of the longest run alone,
# an interval that seems to have no width, and an item without the label that others have.
cat > experiments/odd.yaml <<'E'
name: odd
settings: {text.vocabulary: vocab.txt, eval.points: 1, batch_size: 64}
matrix: {data.train: [a.tar, b.tar], what: [{label: plain, samples: 2k}, {samples: 4k, mask_ratio: 0.5}], seed: [0, 1]}
report: {rows: [data.train, what], columns: [lost_share, steady_seconds, zero_shot_top1, shifted_zero_shot_top1], plots: []}
E
expect_status 0 bench run experiments/odd.yaml --no-progress
bench report odd --format csv | tr -d '\r' > odd.csv
expect_line odd.csv '^data.train,what,lost_share,.*,seeds,disturbed_runs,row_lost_share,given_other,missing$'
expect_line odd.csv '^\[b\.tar\],samples=4000 mask_ratio=0.5,'
bench report odd --format latex > out.txt
expect_line out.txt '^\{\}\[a\.tar\]'
expect_status 0 bench report odd
expect_line out.txt ' [0-9,]+ evaluation images of .*; shifted columns: [0-9,]+ evaluation images of '
expect_line out.txt ' · 1\.98 k to 3\.97 k samples · '
expect_line out.txt ' [01]\.[0-9]+ (± 0\.[0-9]*[1-9]|\[[01]\.[0-9]+, [01]\.[0-9]+\]) ' # seconds, which have no decimals

# The mean of speeds on two kinds of processors is no speed; on two nodes alike it is one.
cp -r results/odd kept
sed -i 's/"host":"[^"]*"/"host":"node7"/' "$(grep -l '"seed":1' results/odd/*plain*/events.jsonl | head -1)"
expect_status 0 bench db rebuild
bench report odd --format csv | tr -d '\r' > alike.csv
cut -d, -f1-4 alike.csv | cmp - <(cut -d, -f1-4 odd.csv) || fail "nodes that are alike have no mean"
sed -i 's/"cpu":"[^"]*"/"cpu":"another processor"/' "$(grep -l '"host":"node7"' results/odd/*/events.jsonl)"
expect_status 0 bench db rebuild
expect_status 0 bench report odd
expect_line out.txt '^– time of data.train \[a.tar\], what plain: its runs were made on different processors$'
# Nor of one kind of processor with other kernels, as FLIP_CPU_KERNELS chooses; nor have their elapsed times one.
sed -i 's/"cpu":"another processor"/"cpu":"Imaginary CPU @ 2.00GHz"/; s/"libraries":{/&"cpu_kernels":"x86-64-v2",/' "$(grep -l '"host":"node7"' results/odd/*/events.jsonl)"
sed -i 's/columns: \[/&train_seconds, /' experiments/odd.yaml
expect_status 0 bench db rebuild
expect_status 0 bench report experiments/odd.yaml
expect_line out.txt '^– (wall time, time|time, wall time) of data.train \[a.tar\], what plain: its runs were made with kernels for different processors$'
sed -i 's/columns: \[train_seconds, /columns: [/' experiments/odd.yaml
# Nor of runs of which precision: auto made one of fp32, under other load.
sed -i 's/"cpu_kernels":"x86-64-v2",//; s/"host":"node7"/"host":"odd"/; s/"precision":"bf16"/"precision":"fp32"/' "$(grep -l '"host":"node7"' results/odd/*/events.jsonl)"
sed -i 's/"host":"[^"]*"/"host":"odd"/' results/odd/*/events.jsonl
expect_status 0 bench db rebuild
expect_status 0 bench report odd
expect_line out.txt '^– time of data.train \[a.tar\], what plain: its runs computed in different precisions$'
expect_line out.txt '^the runs of this table differ in their precision \(precision: auto\): times in different precisions are not compared$'

# An accuracy on a set that the column names, and after the tuning of the rows that are tuned.
cat > experiments/sets.yaml <<'E'
name: sets
settings: {text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 2, batch_size: 64, samples: 4k}
matrix: {mask_ratio: [0, 0.5]}
tuning: {unmasked: {from: "${cell}", when: {mask_ratio: 0.5}, mask_ratio: 0, samples: 2k}}
report:
  rows: mask_ratio
  columns: [zero_shot_top1, tuned_zero_shot_top1, final_zero_shot_top1, final_zero_shot_top1@emoji, shifted_zero_shot_top1,
            tuned_retrieval_t2i_r5, zero_shot_top1@openclipart, zero_shot_top1@nowhere]
  reference: [{mask_ratio: 0.5, final_zero_shot_top1@emoji: 60}]
  plots: [zero_shot_top1@emoji against mask_ratio]
claims:
  - {claim: shifted, metric: final_zero_shot_top1@emoji, against_metric: final_zero_shot_top1, of: {mask_ratio: 0.5},
     against: {mask_ratio: 0}, expect: smaller}
E
expect_status 0 bench run experiments/sets.yaml --no-progress
bench report sets --format csv | tr -d '\r' > sets.csv
of() { sqlite3 :memory: '.import --csv sets.csv t' "SELECT \"$1\" FROM t WHERE mask_ratio = '$2'"; }
[ "$(of final_zero_shot_top1 0)" = "$(of zero_shot_top1 0)" ] && [ -n "$(of zero_shot_top1 0)" ] || fail "a row that is not tuned"
[ "$(of final_zero_shot_top1 0.5)" = "$(of tuned_zero_shot_top1 0.5)" ] && [ -n "$(of tuned_zero_shot_top1 0.5)" ] || fail "a tuned row"
[ "$(of zero_shot_top1@openclipart 0)" = "$(of zero_shot_top1 0)" ] || fail "the main set by its name"
[ "$(of final_zero_shot_top1@emoji 0)" = "$(of shifted_zero_shot_top1 0)" ] && [ -n "$(of shifted_zero_shot_top1 0)" ] || fail "the shifted set by its name"
[ -n "$(of tuned_retrieval_t2i_r5 0.5)" ] && [ -z "$(of tuned_retrieval_t2i_r5 0)" ] && [ -z "$(of zero_shot_top1@nowhere 0)" ] || fail "values that are not there"
expect_status 0 bench report sets
expect_line out.txt 'zero-shot top-1, nowhere of mask (0|50) %.*: the run has no evaluation of it on that set'
expect_line out.txt "; columns that name a set: [0-9,]+ evaluation images of 'emoji', 'openclipart'"
expect_line out.txt '\(60'
expect_line out.txt '^- shifted: final zero-shot top-1, emoji \(%\) of mask 50 % minus final zero-shot top-1 of mask 0 %'
expect_status 0 bench report sets --format html
grep -q 'final zero-shot top-1, emoji' results/sets/report.html || fail "the page lacks the column"
expect_status 0 bench plot sets --format svg
sed 's/zero_shot_top1@nowhere/speedup@emoji/' experiments/sets.yaml > experiments/wrong.yaml
expect_status 2 bench check experiments/wrong.yaml
expect_line err.txt "unknown column 'speedup@emoji'"

# Columns that are row keys are shown as such; where no other is left, the names of the rows are the table.
cat > experiments/names.yaml <<'Y'
name: names
settings: {samples: 2k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 1}
matrix: {mask_ratio: [0, 0.5]}
report: {rows: mask_ratio, columns: [mask_ratio], plots: []}
Y
expect_status 0 bench run experiments/names.yaml --no-progress
expect_status 0 bench report names
expect_line out.txt '^ 0 %$'
expect_line out.txt '^50 %$'
