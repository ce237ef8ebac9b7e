. "$SOURCE/tests/support/sweep.sh"
. "$SOURCE/tests/support/browser.sh"
if [ -z "$browser" ]; then
  echo "SKIPPED: no chromium here (apt install chromium-headless-shell)"
  cd / && rm -rf "$SCRATCH"
  exit 77
fi
sed -i 's/tuning:/  seed: [0, 1]\ntuning:/' experiments/small.yaml
# A title that would end the page's data, or become a part of the page, were it not escaped.
title='</script><!-- <script>page_problems.push(1)</script> <b onclick=x>{{json}}'
sed -i "s|^title: .*|title: \"$title\"|" experiments/small.yaml
(export FAKE_NAN=mask_ratio=0.75; expect_status 1 bench run experiments/small.yaml --no-progress)
sed 's/name: small/name: other/; s/samples: 8k/samples: 4k/' experiments/small.yaml > experiments/other.yaml
cat >> experiments/other.yaml <<'Y'
claims:
  - {claim: masking is faster, from: "<b>", compare: ratio, metric: samples_per_second, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: greater}
Y
expect_status 0 env FAKE_DISTURB=mask_ratio=0.5 "$FLIPBENCH" run experiments/other.yaml --no-progress
mkdir experiments/paper
sed 's/expect: greater}/expect: greater, published: 2.5}/' experiments/other.yaml > experiments/paper/other.yaml
cat >> experiments/paper/other.yaml <<'Y'
  - {claim: masking is slower, compare: ratio, metric: samples_per_second, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: smaller, published: 0.5}
profiles: {mini: {}}
Y
expect_status 0 bench report --paper --format html

# A failed run whose curve goes beyond those of the finished ones does not stretch the axes.
sqlite3 results/flipbench.db "UPDATE evaluation SET samples = samples * 10 WHERE run_id IN (SELECT run_id FROM v_cell_latest WHERE experiment = 'small' AND status = 'failed')"
bench report small --format html > /dev/null
for width in 1280 390; do
  for column in 3 4; do test_page results/paper.html $column faster $width; done
  test_page results/other/report.html 1 '50 %' $width
  grep -q '<span class="chip [a-z]*">[a-z ]*</span> masking is faster<small> (&lt;b&gt;)</small>' dom.txt || fail "no claim"
  test_page results/small/report.html 1 '50 %' $width
  test_page results/index.html 2 other $width
done
# A run that failed is drawn dotted to where it broke off, and does not look like a mean.
grep -q '"is_unfinished":true' results/small/report.html || fail "no failed run among the curves"
# Curves of many runs have more points than a call may have arguments.
sed 's|^<script>$|<script>{ const data = document.getElementById("data"), page = JSON.parse(data.textContent); for (const curve of page.curves) curve.series[0].points = Array.from({length: 200000}, (_, i) => [i, i, i % 7]); data.textContent = JSON.stringify(page); }</script>\n&|' \
  results/other/report.html > results/other/many.html
HOME=$SCRATCH "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$SCRATCH/browser" --virtual-time-budget=5000 \
  --dump-dom "file://$PWD/results/other/many.html" > many.txt 2> /dev/null
grep -q '<div class="chart">' many.txt && grep -q '<h2 id="runs">' many.txt || fail "a page with many points ends above its curves"
# The index marks disturbed runs as the tables do, and says what the mark means.
grep -q '>mask_ratio=0\.5[^<]* †</a>' dom.txt || fail "a disturbed run is not marked in the index"
grep -q '<p class="warning">† disturbed by other work' dom.txt || fail "the index does not explain the mark"
! grep -q '>mask_ratio=0[^.<]*†' dom.txt || fail "an undisturbed run is marked"
# Sentences on many rows are folded above the table.
sed 's/^name: .*/name: many/; s/samples: 8k/samples: 2k/; s/mask_ratio: \[.*/mask_ratio: [0, 0.25, 0.4, 0.5, 0.61, 0.7, 0.75, 0.8]/; /^tuning:/,$d' experiments/small.yaml > experiments/many.yaml
sed -n '/^report:/,$p' experiments/small.yaml >> experiments/many.yaml
expect_status 0 bench run experiments/many.yaml --no-progress
test_page results/many/report.html 1 '61 %' 1280
for what in speed-ups differences; do
  grep -qE "<details><summary>7 $what in words</summary><p class=\"finding\">" dom.txt || fail "seven sentences stand above the table"
done
# A run without a steady pace is drawn against samples, and named as missing against time.
sqlite3 results/flipbench.db "DELETE FROM summary WHERE name LIKE 'steady%' AND run_id = (SELECT run_id FROM v_cell_latest WHERE experiment = 'many' AND label LIKE 'mask_ratio=0.8 %')"
bench report many --format html > /dev/null
grep -qE '"name":"mask 80 %",[^]]*"points":\[\[[0-9.e+]+,null,' results/many/report.html || fail "elapsed time among steady ones"
test_page results/many/report.html 1 '61 %' 1280
# Many rows with long names, also such as are read from right to left; losses that hardly differ.
{
  sed -n '/^settings:/p' experiments/small.yaml
  printf 'name: long\ntitle: long names\nmatrix:\n  scale:\n    - {label: "שלום עולם", mask_ratio: 0}\n'
  for ratio in 0.1 0.2 0.3 0.4 0.5 0.6; do
    echo "    - {label: a name of many words that nobody would write by hand but a program for $ratio would, mask_ratio: $ratio}"
    echo "    - {label: onelongwordthathasnoplaceatwhichitcouldbewrappedinatableoralegend_$ratio, mask_ratio: 0.0${ratio#0.}}"
    echo "    - {label: short $ratio, mask_ratio: 0.8${ratio#0.}}"
  done
  printf 'report:\n  rows: scale\n  baseline: {scale: "שלום עולם"}\n  iso: retrieval_i2t_r1\n  columns: [samples_per_second, speedup, zero_shot_top1]\n  plots: [memory]\n'
} > experiments/long.yaml
expect_status 0 bench run experiments/long.yaml --no-progress
sqlite3 results/flipbench.db "UPDATE step SET loss = 12345 + loss / 100 WHERE run_id IN (SELECT run_id FROM v_cell_latest WHERE experiment = 'long')"
bench report long --format html > /dev/null
for width in 1280 390; do test_page results/long/report.html 1 'short 0.6' $width; done
grep -q 'of שלום עולם'$'\u200e'': ' dom.txt || fail "a sign may be read on the wrong side of its number"
# While an experiment has no page, the index has no link to it.
mv results/many/report.html kept.html
bench report other --format html > /dev/null
! grep -q '"many/report.html' results/index.html || fail "the index leads to a page that is not there"
mv kept.html results/many/report.html
bench report other --format html > /dev/null
grep -q '"many/report.html#run-' results/index.html || fail "the index leads to no run"
# A page that is written elsewhere does not lead to an index that is not there.
bench report other --format html --out elsewhere.html > /dev/null
grep -q '"href":"../index.html"' results/other/report.html || fail "no way back to the index"
! grep -q 'index.html' elsewhere.html || fail "a page in another folder leads to an index"
# Without scripts the pages say the same numbers as a terminal.
said() { sed -n '/<noscript>/,/<\/noscript>/{s/.*<pre class="table">//;s/<\/pre>.*//;s/&lt;/</g;s/&gt;/>/g;s/&quot;/"/g;s/&amp;/\&/g;p}' "$1"; }
bench report other > table.txt
words() { tr -s ' ─' '\n' | sort -u; } # the page's table comes in parts that repeat the rows' names
diff <(words < table.txt) <(said results/other/report.html | grep -v '^record up to 20' | words) || fail "the page says other numbers without a script"
said results/index.html > index.txt # no pipe into grep -q, whose end would kill the writer before it
grep -qE '^other +mask_ratio=0\.5.* † +finished +[0-9]+ ' index.txt || { cat index.txt; fail "no numbers in the index without a script"; }
# failures are reported on the page, with their reason
grep -q 'loss is not a number' results/small/report.html || fail "the failure is not told"
