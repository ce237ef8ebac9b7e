. "$SOURCE/tests/support/sweep.sh"
# A claim holds, or does not, only where the whole interval says so; what was not run is named.
cat > experiments/one.yaml <<'E'
name: one
settings: {samples: 60k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 6}
matrix: {mask_ratio: [0, 0.5, 0.75]}
profiles: {large: {}}
report: {rows: mask_ratio, baseline: {mask_ratio: 0}, iso: retrieval_i2t_r1, columns: [samples_per_second]}
claims:
  - {claim: faster, from: Table 9, compare: ratio, metric: samples_per_second, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: greater, published: 2.5}
  - {claim: slower, compare: ratio, metric: samples_per_second, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: smaller}
  - {claim: better, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater}
  - {claim: alike, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: equal, within: 99}
  - {claim: large, metric: retrieval_i2t_r1, of: {mask_ratio: 0.5}, expect: greater, profiles: large}
E
expect_status 0 bench run experiments/one.yaml --no-progress
expect_status 0 bench report one
expect_line out.txt '^- \[Table 9\] faster: .*95 % interval .*one seed.*published 2.50; holds$'
expect_line out.txt '^- slower: .*; does not hold$'
expect_line out.txt '^- better: .*one seed, 790 images; cannot tell; it would take about [0-9,]+ images'
expect_line out.txt '^- alike: .*; holds$'
expect_line out.txt '^- large: not judged in this profile$'
expect_line out.txt '^2 hold, 1 do not hold, 1 cannot tell, 0 not run, 1 not judged$'
# The page has the same, with and without scripts.
expect_status 0 bench report one --format html
expect_line results/one/report.html '"claim":"slower","from":null,"verdict":"does not hold","evidence":"[0-9].*; does not hold"'
expect_line results/one/report.html '"claim_counts":"2 hold, 1 do not hold, 1 cannot tell, 0 not run, 1 not judged"'
expect_line results/one/report.html '^- \[Table 9\] faster: .*; holds$'
# A cell that was not run.
sed -i 's/0.5, 0.75\]/0.5, 0.75, 0.9]/; s/of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater/of: {mask_ratio: 0.9}, against: {mask_ratio: 0}, expect: greater/' experiments/one.yaml
expect_status 0 bench report experiments/one.yaml
expect_line out.txt '^- better: not run: mask_ratio=0.9'
# Mistakes are named with file and line.
sed -i 's/expect: smaller/expect: smallr/' experiments/one.yaml
expect_status 2 bench report experiments/one.yaml
expect_line err.txt 'one.yaml:8:.*expect is greater, smaller or equal'
