. "$SOURCE/tests/support/sweep.sh"
# On a CPU memory is the process's peak. Where much of it is not what training plans, table and figure
# say how much: it hides what rows differ in.
expect_status 0 bench run experiments/small.yaml --no-progress
expect_status 0 bench report small
! grep -q "the process's peak" out.txt || fail "told where the plan is nearly all"
bench plot small --figure memory --format svg --out alike
grep -q '^has_part = 0$' alike/memory.gp || fail "a part is drawn where it is nearly all"
! grep -q 'planned' alike/memory.gp || fail "a part is named where it is nearly all"

# 300, 200 and 100 MiB planned, and 110, 130 and 120 more.
set_memory() { # set_memory MASK PLANNED PEAK, in MiB
  sed -i -E "s/\"planned_bytes\":[0-9]+/\"planned_bytes\":$(($2 << 20))/; s/\"(host_)?peak_bytes\":[0-9]+/\"\1peak_bytes\":$(($3 << 20))/g" \
    results/small/mask_ratio="$1"-*/events.jsonl results/small/mask_ratio="$1"-*/attempts.jsonl
}
set_memory 0 300 410
set_memory 0.5 200 330
set_memory 0.75 100 220
expect_status 0 bench db rebuild
expect_status 0 bench report small
expect_line out.txt "· memory: the process's peak, 110 to 130 MiB of it in addition to what training plans \("
bench plot small --figure memory --format svg --out apart
grep -q '^has_part = 1$' apart/memory.gp || fail "no part in the figure"
sed -n '/^\$part << EOD/,/^EOD/p' apart/memory.gp | awk 'NF == 3 && $2 != "<<" { printf "%s ", $2 }' | grep -q '^300 200 100 $' || fail "other parts: $(grep -A4 '^\$part' apart/memory.gp)"
grep -q '"410; planned 300"' apart/memory.gp || fail "the baseline's part: $(grep -A4 '^\$bars' apart/memory.gp)"
grep -q '"220 · 0.54×; planned 100 · 0.33×"' apart/memory.gp || fail "a row's part: $(grep -A4 '^\$bars' apart/memory.gp)"
grep -q "darker: planned for training'" apart/memory.gp || fail "the shades are not explained"
[ -s apart/memory.svg ] || fail "no figure"
bench report small --format html >/dev/null
grep -q '110 to 130 MiB' results/small/report.html || fail "the page does not say it"

# On a GPU the peak is the device's; one row that would need more than it took: nothing is drawn as a part.
set_memory 0.75 230 220
expect_status 0 bench db rebuild
bench plot small --figure memory --format svg --out none
grep -q '^has_part = 0$' none/memory.gp || fail "a part larger than the whole"
sed -i 's/"device":"cpu"/"device":"cuda"/' results/small/*/events.jsonl
expect_status 0 bench db rebuild
expect_status 0 bench report small
! grep -q "the process's peak" out.txt || fail "a GPU's memory is taken for a process's"

# Next to long names the numbers are whole: what is planned is left to the shades. Labels of the axis keep apart.
cat > experiments/words.yaml <<'Y'
name: words
settings: {samples: 3k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 1}
matrix:
  mask_ratio: [0, 0.5]
  words: [{label: all caption words, learning_rate: 1.0e-3}, {label: half of its words, learning_rate: 2.0e-3}]
  seed: [0, 1, 2]
report: {rows: [mask_ratio, words], columns: [peak_memory], plots: [memory], baseline: {mask_ratio: 0, words: all caption words}}
Y
expect_status 0 bench run experiments/words.yaml --no-progress
peak=142000
for run in results/words/mask_ratio=*/; do
  peak=$((peak + 1000))
  sed -i -E "s/\"planned_bytes\":[0-9]+/\"planned_bytes\":$((90000 << 20))/; s/\"(host_)?peak_bytes\":[0-9]+/\"\1peak_bytes\":$((peak << 20))/g" "$run"/events.jsonl "$run"/attempts.jsonl
done
expect_status 0 bench db rebuild
expect_status 0 bench plot words --figure memory --format svg,png --out words
grep -q '^has_part = 1$' words/memory.gp || fail "no part in the figure"
[ "$(awk '/^\$bars/ { on = 1; next } /^EOD/ { on = 0 } on' words/memory.gp | grep -cE '"mask (0|50) %, (all caption|half of its) words" "[^"]*"')" = 4 ] || fail "names are cut: $(grep -A4 '^\$bars' words/memory.gp)"
[ "$(grep -cE '"[0-9.e+,]+ · [0-9.]+× \[[0-9.]+, [0-9.]+\]"' words/memory.gp)" = 3 ] || fail "not the numbers alone: $(grep -A4 '^\$bars' words/memory.gp)"
gnuplot -e "set table 'right.txt'; plot 'words/memory.png' binary filetype=png every 1:1:1490:180:1519:820 with rgbimage" 2> /dev/null
awk '!/^#/ && NF >= 5 { n++; if ($3 + $4 + $5 < 700) dark++ } END { exit !(n > 1000 && !dark) }' right.txt || fail "a number leaves the figure"
grep -A1 'font-size="11.00" *text-anchor="middle"' words/memory.svg | sed -n 's/.*translate(\([0-9.]*\),.*/\1/p; s/.*<text>\([0-9.e+]*\).*/\1/p' | paste - - > tics.txt
awk '{ if (NR > 1 && $1 - last < 3.5 * (length($2) + before) + 4) bad = 1; last = $1; before = length($2) } END { exit bad || NR < 3 }' tics.txt || { cat tics.txt; fail "labels of the axis overlap"; }
