. "$SOURCE/tests/support/sweep.sh"
# A claim holds, or does not, only where the whole interval says so; what was not run is named.
cat > experiments/one.yaml <<'E'
name: one
settings: {samples: 60k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 6}
matrix: {mask_ratio: [0, 0.5, 0.75]}
profiles: {large: {}}
report: {rows: mask_ratio, baseline: {mask_ratio: 0}, iso: retrieval_i2t_r1, columns: [samples_per_second, retrieval_i2t_r1]}
claims:
  - {claim: faster, from: Table 9, compare: ratio, metric: samples_per_second, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: greater, published: 2.5}
  - {claim: slower, compare: ratio, metric: samples_per_second, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: smaller}
  - {claim: better, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater}
  - {claim: alike, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: equal, within: 99}
  - {claim: large, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, expect: greater, profiles: large}
  - {claim: near, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: equal, within: 0.01}
  - {claim: above, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater, than: 0.01}
  - {claim: below, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater, than: -0.01}
E
expect_status 0 bench run experiments/one.yaml --no-progress
expect_status 0 bench report one
expect_line out.txt '^- \[Table 9\] faster: .*95 % interval .*one seed.*published 2.50; holds$'
expect_line out.txt '^- slower: .*; does not hold$'
expect_line out.txt '^- better: .*one seed, 790 images; cannot tell; it would take about [0-9,]+ images'
expect_line out.txt '^- alike: .*; holds$'
expect_line out.txt '^- large: not judged in this profile$'
expect_line out.txt '^2 hold, 1 does not hold, 4 cannot tell, 0 not run, 1 not judged$'
# What it would take is counted from the difference's own parts, as in the sentence below the table,
# which is of the same difference from 0.
number() { grep -oE 'would take about [0-9,]+ (images|seeds)' | sed -n 1p; }
claimed=$(grep '^- better:' out.txt | number)
[ -n "$claimed" ] || fail "nothing said of what it would take"
[ "$(grep '^image→text R@1 .*mask 50 %' out.txt | number)" = "$claimed" ] || fail "claim and table differ: $claimed"

# Every format has them; CSV, which is one table, has them by themselves.
bench report one --format json > one.json
of_one() { sqlite3 :memory: "SELECT $1 FROM json_each(readfile('one.json'), '\$.claims') WHERE value ->> 'claim' = '$2'"; }
[ "$(of_one "value ->> 'verdict', value ->> 'published'" faster)" = 'holds|2.5' ] || fail "claim missing in JSON"
[ "$(of_one "value ->> 'low' < 0 AND value ->> 'high' > 0 AND value ->> 'images_needed' > 790" better)" = 1 ] || fail "no interval in JSON"
[ "$(of_one "value ->> 'verdict', value ->> 'value' IS NULL" large)" = 'not judged in this profile|1' ] || fail "judged in JSON"
# Being equal within 0.01 is decided at the end of that range that the difference is nearer to.
side=above
[ "$(of_one "value ->> 'value' < 0" near)" = 0 ] || side=below
needed=$(of_one "value ->> 'images_needed'" near)
[ "$needed" -gt 790 ] && [ "$needed" = "$(of_one "value ->> 'images_needed'" $side)" ] || fail "equal: $needed images at the other end of its range"
bench report one --format latex > one.tex
grep -q '^Table 9 & faster (speed of mask 75 \\% over that of mask 0 \\%) & .* & 2.50 & holds' one.tex || fail "claims missing in LaTeX"
grep -qE '^ & better \(.*\): it would take about [0-9,]+ images & .* & cannot tell' one.tex || fail "LaTeX does not say what it would take"
bench report one --format csv --claims | tr -d '\r' > one.csv
grep -q '^faster,Table 9,holds,' one.csv || fail "claims missing in CSV"
[ "$(sqlite3 :memory: '.import --csv one.csv c' "SELECT verdict, images_needed + 0 > 790, note LIKE '%would take%' FROM c WHERE claim = 'better'" 2>&1)" = 'cannot tell|1|1' ] || fail "no CSV that a program reads"

# The page has the same, with and without scripts.
expect_status 0 bench report one --format html
expect_line results/one/report.html '"claim":"slower","from":null,"verdict":"does not hold",.*"evidence":"[0-9].*; does not hold"'
expect_line results/one/report.html '"claim_counts":"2 hold, 1 does not hold, 4 cannot tell, 0 not run, 1 not judged"'
expect_line results/one/report.html '^- \[Table 9\] faster: .*; holds$'
# A cell that was not run.
sed -i 's/0.5, 0.75\]/0.5, 0.75, 0.9]/; s/of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater/of: {mask_ratio: 0.9}, against: {mask_ratio: 0}, expect: greater/' experiments/one.yaml
expect_status 0 bench report experiments/one.yaml
expect_line out.txt '^- better: not run: mask_ratio=0.9'
# Mistakes are named with file and line.
sed -i 's/expect: smaller/expect: smallr/' experiments/one.yaml
expect_status 2 bench report experiments/one.yaml
expect_line err.txt 'one.yaml:8:.*expect is greater, smaller or equal'

# Speed-up to equal accuracy, best of all rows, and two columns of one task (tuned less untuned): each
# as the table has it.
cat > experiments/two.yaml <<'E'
name: two
settings: {samples: 60k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 12}
matrix: {mask_ratio: [0, 0.5, 0.75], seed: [0, 1, 2]}
tuning:
  unmasked: {from: "${cell}", unless: {mask_ratio: 0}, mask_ratio: 0, samples: 8k, eval.points: 1}
report: {rows: mask_ratio, baseline: {mask_ratio: 0}, iso: retrieval_i2t_r1, columns: [retrieval_i2t_r1, tuned_retrieval_i2t_r1, iso_speedup]}
claims:
  - {claim: sooner, compare: speedup, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: greater, published: 3.7}
  - {claim: far sooner, compare: speedup, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: greater, than: 90}
  - {claim: best, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, expect: greater}
  - {claim: not far behind, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, expect: greater, than: -99}
  - {claim: alike, compare: ratio, metric: samples_per_second, of: {mask_ratio: 0.5}, expect: equal, within: 0.1}
  - {claim: worst, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, expect: smaller}
  - {claim: speed, compare: ratio, metric: samples_per_second, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater, than: 0.01}
  - {claim: tuned, metric: tuned_retrieval_i2t_r1, against_metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, expect: greater, than: -99}
E
expect_status 0 bench run experiments/two.yaml --no-progress
bench report two --format json > two.json
of_two() { sqlite3 :memory: "SELECT $1 FROM json_each(readfile('two.json'), '\$.claims') WHERE value ->> 'claim' = '$2'"; }
# table RATIO COLUMN PART
table() { sqlite3 :memory: "SELECT value -> 'values' -> '$2' ->> '$3' FROM json_each(readfile('two.json'), '\$.rows') WHERE value -> 'row' ->> 'mask_ratio' = '$1'"; }
for part in value low high; do
  [ "$(of_two "value ->> '$part'" sooner)" = "$(table 0.75 iso_speedup $part)" ] || fail "speed-up: $part differs from the table"
done
[ "$(of_two "value ->> 'verdict'" sooner)" = holds ] || [ "$(table 0.75 iso_speedup low | cut -d. -f1)" -lt 1 ] || fail "speed-up: verdict"
[ "$(of_two "value ->> 'verdict'" 'far sooner')" = 'does not hold' ] || fail "a speed-up of 90 holds"
[ "$(of_two "value ->> 'verdict'" 'not far behind')" = holds ] || fail "best of all: verdict"
half=$(table 0.5 retrieval_i2t_r1 value) tuned=$(table 0.5 tuned_retrieval_i2t_r1 value)
others="$(table 0 retrieval_i2t_r1 value) $(table 0.75 retrieval_i2t_r1 value)"
for claim in best 'not far behind'; do
  awk -v v="$(of_two "value ->> 'value'" "$claim")" -v half="$half" -v others="$others" '
    BEGIN { split(others, o, " "); d = half - (o[1] > o[2] ? o[1] : o[2]); exit !((d - v) ^ 2 < 1e-12) }' ||
    fail "$claim: not the comparison that speaks most against it"
done
awk -v v="$(of_two "value ->> 'value'" worst)" -v half="$half" -v others="$others" '
  BEGIN { split(others, o, " "); d = half - (o[1] < o[2] ? o[1] : o[2]); exit !((d - v) ^ 2 < 1e-12) }' ||
  fail "worst: not the comparison that speaks most against it"
# A bound half way to the end of a ratio's interval: 2.8 standard errors, which decide with 80 % power, are to be as
# short as it is now 0.98 of them away, and they shrink with the root of the number of seeds.
than=$(of_two "sqrt((value ->> 'value') * (value ->> 'high'))" speed)
sed "s/than: 0.01}/than: $than}/" experiments/two.yaml > experiments/half.yaml
expect_status 0 bench report experiments/half.yaml --format json
cp out.txt half.json
needed=$(sqlite3 :memory: "SELECT value ->> 'seeds_needed' FROM json_each(readfile('half.json'), '\$.claims') WHERE value ->> 'claim' = 'speed'")
awk -v n="$needed" -v width="$(of_two "ln((value ->> 'high') / (value ->> 'low'))" speed)" -v off="$(of_two "ln((value ->> 'high') / (value ->> 'value')) / 2" speed)" '
  BEGIN { wanted = 3 * (2.8 * width / 3.92 / off) ^ 2; exit !(n >= wanted - 0.01 && n < wanted + 1.01) }' || fail "$needed seeds for a ratio"
# mask 50 % has 1.5 times the speed of mask 0 %, and 0.74 times that of mask 75 %: nearer to 1
[ "$(of_two "value ->> 'verdict', value ->> 'quantity' LIKE '%over that of mask 0 \% (the row least%' ESCAPE '\'" alike)" = 'does not hold|1' ] ||
  fail "equal: not the comparison that is farthest off: $(of_two "value ->> 'quantity'" alike)"
awk -v v="$(of_two "value ->> 'value'" tuned)" -v d="$half $tuned" '
  BEGIN { split(d, o, " "); exit !((o[2] - o[1] - v) ^ 2 < 1e-12) }' || fail "tuned less untuned"
[ "$(of_two "value ->> 'verdict', value ->> 'seeds'" tuned)" = 'holds|3' ] || fail "tuned: verdict"

# Seeds of a row that had other inputs than its newest form another row: what is left is not the row.
sed -i 's/"data_fingerprint":"[^"]*"/"data_fingerprint":"0000000000"/' results/two/mask_ratio=0.5*seed=1-*/events.jsonl
expect_status 0 bench db rebuild
expect_status 2 bench report two --claims --format html
expect_line err.txt 'claims has no html'
expect_status 0 bench report two --claims
for claim in best 'not far behind' alike tuned; do
  expect_line out.txt "^- $claim: .*not run: mask_ratio=0.5 seed=1 had other inputs than the newest run with the same settings \('flipbench run --retry data'\)$"
done
expect_line out.txt '^- far sooner: .*; does not hold$'

# Nor is a claim about every other row decided by those that are left when a whole row had other inputs,
# though no seed of it has the newest; the row is in the table, so it is not said to be missing from it.
sed -i 's/"data_fingerprint":"[^"]*"/"data_fingerprint":"feedfacefeedface"/' results/two/*/events.jsonl
sed -i 's/"data_fingerprint":"[^"]*"/"data_fingerprint":"0000000000"/' results/two/mask_ratio=0_*/events.jsonl
expect_status 0 bench db rebuild
expect_status 0 bench report two
expect_line out.txt '^ ?0 % ‡'
for claim in sooner 'far sooner' best 'not far behind' alike; do
  expect_line out.txt "^- $claim: .*not run: mask_ratio=0 seed=0 had other inputs than the newest run with the same settings \('flipbench run --retry data'\); mask_ratio=0 seed=1 "
done
expect_line out.txt '^- tuned: .*; holds$'

# Of a baseline with two data sets the seeds of the newest are what others are compared with.
sed -i 's/"data_fingerprint":"[^"]*"/"data_fingerprint":"feedfacefeedface"/' results/two/mask_ratio=0_*seed=2-*/events.jsonl
expect_status 0 bench db rebuild
bench report two --format json > two.json
[ "$(sqlite3 :memory: "SELECT count(*) FROM json_each(readfile('two.json'), '\$.rows') WHERE value -> 'row' ->> 'mask_ratio' = '0'")" = 2 ] || fail "not two baselines"
awk -v v="$(table 0.75 iso_speedup value)" 'BEGIN { exit !(v > 0) }' || fail "not compared with the newest baseline"

# A speed-up is of whole curves: while a tuning has not run, there is none to judge.
cat > experiments/three.yaml <<'E'
name: three
settings: {samples: 60k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 6}
matrix: {mask_ratio: [0, 0.75]}
report: {rows: mask_ratio, baseline: {mask_ratio: 0}, iso: retrieval_i2t_r1, columns: [retrieval_i2t_r1]}
claims:
  - {claim: sooner, compare: speedup, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: greater}
  - {claim: better, metric: retrieval_i2t_r1, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: greater, than: -99}
E
expect_status 0 bench run experiments/three.yaml --no-progress
expect_status 0 bench report three
! grep -q 'not run:' out.txt || { cat out.txt; fail "claims of finished cells are not judged"; }
cat >> experiments/three.yaml <<'E'
tuning:
  unmasked: {from: "${cell}", unless: {mask_ratio: 0}, mask_ratio: 0, samples: 8k, eval.points: 1}
E
expect_status 0 bench report experiments/three.yaml
expect_line out.txt '^- sooner: .*not run: mask_ratio=0.75 · unmasked tuning$'
expect_line out.txt '^- better: .*; holds$'

# Without a value the reason is said, and a finished run is not called one that was not run: a number of 0 to
# divide by, and curves of which neither rises above chance, which for R@10 is ten times that for R@1.
cat > experiments/four.yaml <<'E'
name: four
settings: {samples: 50k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 6}
matrix: {mask_ratio: [0, 0.5]}
report:
  rows: mask_ratio
  baseline: {mask_ratio: 0}
  iso: retrieval_i2t_r10
  columns: [retrieval_i2t_r10, samples_per_second, iso_speedup, data_wait_share]
  reference: [{mask_ratio: 0.5, retrieval_i2t_r10: 60, samples_per_second: 30, verified: false}, {mask_ratio: 0, retrieval_i2t_r10: 50, samples_per_second: 25}]
claims:
  - {claim: sooner, compare: speedup, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater}
  - {claim: lost, compare: ratio, metric: lost_share, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater}
  - {claim: probed, metric: linear_probe_top1, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater}
  - {claim: better, metric: retrieval_i2t_r10, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater}
  - {claim: slower, compare: ratio, metric: samples_per_second, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: smaller}
E
expect_status 0 bench run experiments/four.yaml --no-progress
expect_status 0 bench report four
! grep -q '^- sooner: cannot tell; no accuracy above' out.txt || fail "curves above chance are not compared"
expect_line out.txt "^- lost: cannot tell; the other row's value is 0$"
expect_line out.txt '^- probed: not run: the run has no evaluation set for it$'
expect_line out.txt '^- better: .*; published ~\+10\.00; '
expect_line out.txt '^- slower: .*; published ~1\.20; does not hold$'
sed -i -E 's/"chance_r1":[0-9.e-]+/"chance_r1":0.09/g' results/four/*/events.jsonl
expect_status 0 bench db rebuild
expect_status 0 bench report four
expect_line out.txt '^- sooner: cannot tell; no accuracy above chance that both reach$'
expect_line out.txt '^– iso-accuracy of mask 50 %: no accuracy above chance that both reach$'
expect_line out.txt '^0 hold, .* [0-9] cannot tell, 1 not run, 0 not judged$'

# Sentences are text in Markdown too.
sed -i 's/claim: lost,/claim: "lost | <b>_all_",/' experiments/four.yaml
bench report experiments/four.yaml --format markdown > out.txt
expect_line out.txt '^- lost \\\| \\<b>\\_all\\_: cannot tell'
