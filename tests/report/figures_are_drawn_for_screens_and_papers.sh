. "$SOURCE/tests/support/sweep.sh"
expect_status 0 bench run experiments/small.yaml --no-progress
expect_status 0 bench plot --list
for figure in accuracy_vs_time accuracy_vs_samples throughput memory loss; do
  expect_line out.txt "^$figure +[a-z]"
  [ -f "$SOURCE/plots/$figure.gp" ] || fail "$figure has no template"
done
# A column of a paper: 3.3 inches are 237 points. Wide: 7.6 are 547.
expect_status 0 bench plot small --format svg,png,pdf --size column --out column
expect_status 0 bench plot small --format pdf --out wide
grep -aq 'MediaBox \[ 0 0 237 ' column/loss.pdf || fail "a column's figure is not 3.3 inches wide"
grep -aq 'MediaBox \[ 0 0 547 ' wide/loss.pdf || fail "a wide figure is not 7.6 inches wide"
! grep -q 'Mask ratio, made up' column/loss.svg || fail "a column's title is the caption's work"
# A bar without an interval has no error bar.
grep -q ' nan nan "' column/memory.gp || fail "a memory bar has an interval from one seed"
# A legend of many ways takes as many lines as it needs, all inside the figure.
cat > experiments/ways.yaml <<'Y'
name: ways
settings: {samples: 8k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 2}
matrix:
  mask_ratio: [0.5, 0.75]
  way:
    - {label: a first way with a long name, learning_rate: 1.0e-3}
    - {label: a second way with a long name, learning_rate: 2.0e-3}
    - {label: a third way with a long name, learning_rate: 3.0e-3}
    - {label: a fourth way with a long name, learning_rate: 4.0e-3}
report: {rows: [mask_ratio, way], columns: [zero_shot_top1], plots: [accuracy_vs_samples]}
Y
expect_status 0 bench run experiments/ways.yaml --no-progress
for size in wide column; do
  expect_status 0 bench plot ways --format svg --size $size --out ways-$size
  grep -oE "set label 20[0-9] .* at screen [0-9.]+,[0-9.]+" ways-$size/accuracy_vs_samples.gp | sed "s/.*'\(.*\)'.*screen /\1 /; s/,/ /" > legend.txt
  awk -v size=$size '{ lines[$NF]++; n++; if ($(NF - 1) > (size == "wide" ? 0.7 : 0.5)) out++ } END { for (l in lines) count++; exit !(n == 4 && count >= 2 && !out) }' legend.txt ||
    { cat legend.txt; fail "the legend of a $size figure is one line, or leaves it"; }
done
# More values of the first key than panels: all lines are in one plot. As many other keys as would fill the figure
# with their legend: the same. The name of an axis stays inside the figure, next to long names of bars.
cat > experiments/seven.yaml <<'Y'
name: seven
settings: {samples: 3k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 2}
matrix:
  mask_ratio: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
  learning_rate: [1.0e-3, 2.0e-3]
report: {rows: [mask_ratio, learning_rate], columns: [zero_shot_top1], plots: [accuracy_vs_samples, loss]}
Y
cat > experiments/keys.yaml <<'Y'
name: keys
settings: {samples: 3k, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 2}
matrix:
  mask_ratio: [0, 0.5]
  batch_size: [64, 128]
  learning_rate: [1.0e-3, 2.0e-3]
  weight_decay: [0.1, 0.2]
report:
  baseline: {mask_ratio: 0, batch_size: 64, learning_rate: 1.0e-3, weight_decay: 0.1}
  columns: [zero_shot_top1]
  plots: [accuracy_vs_samples, loss, throughput]
Y
for name in seven keys; do
  expect_status 0 bench run experiments/$name.yaml --no-progress
  for figure in accuracy_vs_samples loss; do
    expect_line results/$name/plots/$figure.gp '^panels = 1;'
    ! grep -qE '^panel_of\[[0-9]+\] = [1-9]' results/$name/plots/$figure.gp || fail "lines of $name are in no plot"
  done
done
# Names of many keys are given by their values, in the order of the keys, instead of being cut where they differ.
names_of() { awk -F '"' '/^\$bars/ { on = 1; next } /^EOD/ { on = 0 } on { print $2 }' "$1"; }
for size in wide column; do
  expect_status 0 bench plot keys --figure throughput --format svg --size $size --out keys-$size
  [ "$(names_of keys-$size/throughput.gp | sort -u | wc -l)" = 16 ] || { names_of keys-$size/throughput.gp; fail "rows have one name"; }
  expect_line keys-$size/throughput.svg 'rows: mask, batch, learning rate, weight decay'
done
# Rows whose second keys begin alike have colours of their own.
alike=$(printf 'alike%.0s' {1..20})
cat > experiments/labels.yaml <<Y
name: labels
settings: {samples: 3k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 2}
matrix:
  mask_ratio: [0, 0.5, 0.7]
  way: [{label: $alike one, learning_rate: 1.0e-3}, {label: $alike two, learning_rate: 2.0e-3}]
report: {rows: [mask_ratio, way], columns: [zero_shot_top1], plots: [throughput], baseline: {mask_ratio: 0, way: $alike one}}
Y
expect_status 0 bench run experiments/labels.yaml --no-progress
[ "$(awk '/^\$bars/ { on = 1; next } /^EOD/ { on = 0 } on { print $NF }' results/labels/plots/throughput.gp | tr '\n' ' ')" = '0 1 0 1 0 1 ' ] || fail "other rows share a colour"
x_label=$(grep -B1 '<text>speed (samples/s); dashed' results/labels/plots/throughput.svg | grep -oE 'translate\([0-9.]+' | grep -oE '[0-9.]+')
awk -v middle="$x_label" 'BEGIN { exit !(middle > 380 && middle + 61 * 3.8 < 760) }' || fail "the name of the x axis around $x_label leaves the figure"
# Labels of the y axes keep apart in two rows of panels.
sed 's/name: ways/name: rows/; s/\[0.5, 0.75\]/[0, 0.3, 0.5, 0.75]/' experiments/ways.yaml > experiments/rows.yaml
expect_status 0 bench run experiments/rows.yaml --no-progress
for size in wide column; do
  expect_status 0 bench plot rows --format svg --size $size --out rows-$size
  expect_line rows-$size/accuracy_vs_samples.gp '^panels = 4;'
  tics=$(grep -oE 'text-anchor="end"' rows-$size/accuracy_vs_samples.svg | wc -l) # those of both rows
  [ "$tics" -ge 4 ] && [ "$tics" -le 12 ] || fail "$tics labels at the y axes of a $size figure"
done
# The shading of an interval that reaches beyond the plot ends at its edge, in a PNG, too.
cat > experiments/cut.yaml <<'Y'
name: cut
settings: {samples: 3200, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 3}
report: {iso: retrieval_i2t_r1, columns: [retrieval_i2t_r1], plots: [accuracy_vs_samples]}
Y
expect_status 0 bench run experiments/cut.yaml --no-progress
expect_line results/cut/plots/accuracy_vs_samples.gp 'shaded: 95 % interval, cut'
gnuplot -e "set table 'column.txt'; plot 'results/cut/plots/accuracy_vs_samples.png' binary filetype=png every 1:1:1450:150:1450:280 with rgbimage" 2> /dev/null
awk '!/^#/ && NF >= 5 { n++; if ($3 + $4 + $5 < 765) dark++ } END { exit !(n > 100 && !dark) }' column.txt || fail "shading right of the plot"
# No text of the script is shown on hover: the drawing's title is the figure's, and curves have none.
expect_line ways-wide/accuracy_vs_samples.svg '^<title>[A-Z][^<$]* samples'
for page in ways-wide/*.svg column/*.svg; do
  [ "$(grep -o '<title>' $page | wc -l)" = 1 ] || fail "$page: a curve has a title"
  ! grep -qE '<title>Gnuplot|<title>[^<]* using ' $page || fail "$page: a title is not a sentence"
done
# A script draws its figure again in its own folder, wherever that is.
mv column moved
rm moved/loss.svg moved/loss.png moved/loss.pdf
(cd moved && gnuplot -d loss.gp)
for format in svg png pdf; do [ -s moved/loss.$format ] || fail "gnuplot loss.gp drew no $format"; done
expect_line moved/loss.gp "'gnuplot -d loss.gp' in this folder draws it again"
# What a user sets for figures of their own does not change these.
mkdir home
echo 'set datafile separator ","' > home/.gnuplot
expect_status 0 bench plot small --format svg --out plain
GNUTERM=x11 HOME=$PWD/home expect_status 0 bench plot small --format svg --out settings
for figure in plain/*.svg; do cmp "$figure" "settings/${figure#plain/}" || fail "~/.gnuplot or GNUTERM changes a figure"; done
# A long name is cut between characters, so that the drawing is valid UTF-8.
long=$(printf '日%.0s' {1..33})
cat > experiments/wide.yaml <<Y
name: wide
settings: {samples: 3k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 2}
matrix:
  mask_ratio: [0, 0.5]
  way: [{label: $long, learning_rate: 1.0e-3}, {label: x$long, learning_rate: 2.0e-3}]
report: {rows: [mask_ratio, way], columns: [zero_shot_top1], plots: [zero_shot_top1 against mask_ratio, throughput]}
Y
expect_status 0 bench run experiments/wide.yaml --no-progress
for page in results/wide/plots/*.svg results/wide/report.html; do
  iconv -f UTF-8 -t UTF-32 "$page" > /dev/null || fail "$page is not UTF-8"
  grep -q '日日…' "$page" || fail "$page has no name that is cut"
done
# A template of one's own draws with the theme and the data of the figure.
echo 'set label 1 "mine alone" at graph 0.5,0.5; plot $points index 0 using 1:2 with lines' > mine.gp
expect_status 0 bench plot small --figure loss --template mine.gp --format svg --out own
[ "$(cat out.txt)" = own/loss.svg ] || fail "more than one figure was drawn"
grep -q 'mine alone' own/loss.svg || fail "the own template was not used"
echo 'nonsense' > mine.gp
expect_status 1 bench plot small --figure loss --template mine.gp --out own
expect_line err.txt 'gnuplot failed on own/loss.gp'
echo 'nothing = 1' > none.gp
expect_status 1 bench plot small --figure loss --template none.gp --out none
expect_line err.txt 'loss.png: the template drew nothing'
expect_status 2 bench plot small --figure los
expect_line err.txt "did you mean 'loss'"
expect_status 2 bench plot small --figure 'zero_shot_top1 against mask_rato' --format svg --out misspelt
expect_line err.txt "figure 'zero_shot_top1 against mask_rato': 'mask_rato' is neither a column, a setting nor an axis; did you mean 'mask_ratio'\?"
[ ! -e misspelt ] || fail "a figure of nothing was begun"
expect_status 2 bench plot small --template mine.gp
expect_status 2 bench plot small --size poster
# Seeds that recorded their loss every step and every tenth: the curve is the mean at the same samples,
# reaches the end of training, and its band spans what the seeds had there. The made-up loss is
# 2.2 + 3.3 exp(-samples / 24000), with noise of 0.05.
cat > experiments/logged.yaml <<'Y'
name: logged
settings: {samples: 16k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 2, log_every: 1}
matrix: {mask_ratio: [0], seed: [0]}
report: {rows: mask_ratio, columns: [final_loss], plots: [loss]}
Y
expect_status 0 bench run experiments/logged.yaml --no-progress
sed -i 's/log_every: 1}/log_every: 10}/; s/seed: \[0\]/seed: [0, 1]/' experiments/logged.yaml
expect_status 0 bench run experiments/logged.yaml --no-progress
expect_answer "SELECT group_concat(n > 200) FROM (SELECT count(*) AS n FROM step JOIN v_cell_latest USING (run_id) WHERE label LIKE 'mask_ratio=0 seed=%' AND experiment = 'logged' GROUP BY run_id)" 1,0
awk '/^\$points/{on=1;next} /^EOD/{on=0} on' results/logged/plots/loss.gp > points.txt
awk '{ true_loss = 2.2 + 3.3 * exp(-$1 / 24); off = $2 - true_loss
       if (off * off > 0.04 || $4 - $3 > 0.4 || $2 < $3 || $2 > $4) bad = 1 }
     END { exit bad || NR < 100 || $1 < 15.9 }' points.txt || { cat points.txt; fail "a curve of seeds with other log_every is not their mean"; }
# Of many rows a figure says which part it draws, and its title tells of no other: here the last row
# would be the fastest. Points of one series have no limit, and the labels of an axis keep apart.
rates=$(seq -f '%g.0e-4' -s ', ' 1 27)
cat > experiments/many.yaml <<Y
name: many
settings: {samples: 8k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 4}
matrix: {seed: [0], learning_rate: [$rates]}
include: [{mask_ratio: 0.9, learning_rate: 28.0e-4, seed: 0}]
report:
  rows: [learning_rate, mask_ratio]
  baseline: {learning_rate: 1.0e-4}
  iso: retrieval_i2t_r1
  columns: [speedup]
  plots: [accuracy_vs_time, loss, throughput, zero_shot_top1 against learning_rate, tradeoff_time]
Y
expect_status 0 bench run experiments/many.yaml --no-progress
expect_line out.txt 'mask 90 %.* reaches .* sooner'
many=results/many/plots
for figure in accuracy_vs_time loss throughput tradeoff_time; do
  grep -q "^subtitle_text = 'first 24 of 28 rows · many" $many/$figure.gp || fail "$figure leaves out rows: $(grep ^subtitle $many/$figure.gp)"
done
! grep -q '^title_text.*90 %' $many/accuracy_vs_time.gp || fail "the title tells of a curve that is not drawn"
! grep -q 'first 24' $many/zero_shot_top1_against_learning_rate.gp || fail "points of one axis are left out"
[ "$(awk '/^\$points/{on=1;next} /^EOD/{on=0} on && NF' $many/zero_shot_top1_against_learning_rate.gp | wc -l)" = 28 ] || fail "not 28 points"
[ "$(grep ^axis_tics $many/zero_shot_top1_against_learning_rate.gp | grep -oE '"[^"]+" [0-9]' | wc -l)" -lt 12 ] || fail "labels of the axis overlap"
expect_status 0 bench plot many --figure loss --format svg --size column --out many-column
grep -q '>first 24 of 28 rows<' many-column/loss.svg || fail "a column of a paper leaves out rows"
# Lines of one colour have other marks, in the plot as in the legend, also where few lines have none.
cat > marks.gp <<'G'
set print 'marks.txt'
do for [i=0:23] { print colour(i), shape_of(i) }
plot $points index 0 using 1:2 with lines
G
expect_status 0 bench plot many --figure loss --template marks.gp --format svg --out marks
[ "$(sort -u marks/marks.txt | wc -l)" = 24 ] || fail "two of 24 series look alike"
grep -q 'has_marks = 1;' $many/loss.gp || fail "the lines of one colour have no marks"
grep -q 'has_marks = 0;' results/small/plots/loss.gp || fail "a few lines of loss have marks"
for at in 0:● 8:▲ 16:▼; do
  grep -q "set label $((201 + ${at%:*})) '${at#*:} learning rate" $many/loss.gp || fail "the legend does not show the mark of series ${at%:*}"
done

# A row has a point on an axis when its runs share one number there; others are counted.
cat > experiments/axes.yaml <<'Y'
name: axes
settings: {samples: 4k, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 2}
matrix:
  width: [{label: "1", batch_size: 64}, {label: "2", batch_size: 128}, {label: none, batch_size: 256}]
  seed: [0, 1]
report: {rows: width, columns: [zero_shot_top1], plots: []}
Y
expect_status 0 bench run experiments/axes.yaml --no-progress
expect_status 0 bench plot axes --figure 'zero_shot_top1 against width' --format svg --out axes
grep -q "^source_line = '1 row left out: width is not a number · axes" axes/zero_shot_top1_against_width.gp || fail "a row is left out in silence"
expect_status 0 bench plot axes --figure 'zero_shot_top1 against seed' --format svg --out axes
expect_line err.txt 'not drawn: 3 rows left out: runs of one row differ in seed'

# Rows that had other data are a series of their own, with their mark; so are lines of panels, and the names of
# the page. A disturbed row marks its series.
cat > experiments/changed.yaml <<'Y'
name: changed
settings: {samples: 4k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 2}
matrix:
  mask_ratio: [0, 0.5, 0.75]
  way: [{label: slow, learning_rate: 1.0e-3}, {label: fast, learning_rate: 2.0e-3}]
report: {rows: [mask_ratio, way], columns: [zero_shot_top1], plots: [accuracy_vs_samples, zero_shot_top1 against mask_ratio]}
Y
expect_status 0 bench run experiments/changed.yaml --no-progress
points_of() { awk '/^\$points/ { on = 1; next } /^EOD/ { on = 0 } on { print NF ? "point" : "" }' "$1" | uniq -c | tr -s ' \n' ' '; }
against=results/changed/plots/zero_shot_top1_against_mask_ratio.gp
[ "$(points_of $against | grep -o point | wc -l)" = 2 ] || fail "not two series: $(points_of $against)"
sed -i 's/"data_fingerprint":"[^"]*"/"data_fingerprint":"older"/' results/changed/mask_ratio=0_*slow*/events.jsonl results/changed/mask_ratio=0.5*slow*/events.jsonl
grep -l older results/changed/*/events.jsonl | wc -l | grep -qx 2 || { ls results/changed; fail "not two runs of other data"; }
expect_status 0 bench db rebuild
sqlite3 results/flipbench.db "INSERT OR REPLACE INTO summary SELECT run_id, value, 0.5 FROM v_cell_latest,
  json_each('[\"disturbed\", \"lost_share\"]') WHERE experiment = 'changed' AND label LIKE 'mask_ratio=0.5 %fast'"
expect_status 0 bench plot changed
[ "$(points_of $against | grep -o point | wc -l)" = 3 ] || fail "rows of other data are joined with the others: $(points_of $against)"
for name in 'slow ‡' 'fast †' slow; do
  grep -qE "set label [0-9]+ '[^a-z]*$name'" $against || { grep "set label" $against; fail "no series is called '$name'"; }
done
for name in 'slow ‡' 'fast †' slow; do
  grep -qE "set label 20[0-9] '[^a-z]*$name'" results/changed/plots/accuracy_vs_samples.gp || { grep 'set label 20' results/changed/plots/accuracy_vs_samples.gp; fail "no line of the panels is called '$name'"; }
done
bench report changed --format html > /dev/null
for name in 'mask 50 %, slow ‡' 'mask 50 %, fast †'; do
  for part in runs is_mean; do # of the legend and the numbers, and of the curves
    grep -q "\"name\":\"$name\",\"$part\"" results/changed/report.html || fail "the page does not call a row '$name'"
  done
done

# A run whose steps had no single pace has no place on an axis of steady time; its elapsed time is another measure.
sqlite3 results/flipbench.db "DELETE FROM summary WHERE name LIKE 'steady%' AND run_id = (SELECT run_id FROM v_cell_latest WHERE experiment = 'small' AND label = 'mask_ratio=0.75')"
expect_status 0 bench plot small
grep -q "^source_line = '1 row left out or cut short: no single steady pace · small" results/small/plots/accuracy_vs_time.gp || fail "a row is left out in silence: $(grep ^source_line results/small/plots/accuracy_vs_time.gp)"
! grep -q '75 %' results/small/plots/accuracy_vs_time.gp || fail "elapsed time is drawn as steady"

# Rows without a value are counted below curves as below bars.
cat > experiments/some.yaml <<'Y'
name: some
settings: {samples: 5k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 2}
matrix: {mask_ratio: [0, 0.5, 0.75]}
report: {columns: [zero_shot_top1], plots: [accuracy_vs_time, accuracy_vs_samples, loss, throughput]}
Y
expect_status 1 env FAKE_NAN=mask_ratio=0.75 "$FLIPBENCH" run experiments/some.yaml --no-progress
for figure in accuracy_vs_time accuracy_vs_samples loss throughput; do
  expect_line results/some/plots/$figure.gp "^source_line = '1 row left out: no value · some"
done

# The loss of a classifier is none of a batch: no word of batch sizes, in the figure or below the table.
cat > experiments/classes.yaml <<'Y'
name: classes
settings: {samples: 4k, classification.classes: 10, classification.train: x.tar, eval.points: 1, eval.sets: [], text.vocabulary: vocab.txt}
matrix: {batch_size: [64, 128]}
report: {columns: [final_loss], plots: [loss]}
Y
expect_status 0 bench run experiments/classes.yaml --no-progress
! grep -q 'batch size' out.txt || fail "losses of classifiers are said to depend on the batch size"
grep -qx "y_label = 'training loss'" results/classes/plots/loss.gp || fail "a classifier's loss is called $(grep ^y_label results/classes/plots/loss.gp)"

# Four panels of a column: labels of the y axes keep apart, and a series' name from that of the metric.
mkdir -p history/benchmarks
ordinal=0
for series in 'a series of many words, too long for a column' b c d; do
  for commit in 1 2 3 4; do
    printf '{"ordinal":%s,"series":"%s","metric":"samples_per_second","side":"","commit":"%s","dirty":"","committed":"2026-01-0%s","machine":"m","time":"2026-01-0%s","value":4%s.%s}\n' \
      $((++ordinal)) "$series" $commit$commit$commit $commit $commit $((commit * 3 % 10)) $commit
  done
done > history/benchmarks/2026-01-05.jsonl
expect_status 0 bench history --results history --size column --format svg --out history-column
drawn=history-column/history-samples_per_second-1.gp
expect_line $drawn '^panels = 4;'
awk -F ' = ' '/^(low|high|step)4 = / { of[substr($1, 1, 3)] = $2 } END { exit !((of["hig"] - of["low"]) / of["ste"] <= 3) }' $drawn || fail "more labels at a y axis than have room: $(grep -E '^(low|high|step)4' $drawn)"
expect_line $drawn "^name1 = 'a series .*…'"
