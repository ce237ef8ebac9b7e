# A matrix of 10,000 cells, and as many tuning cells, expand and validate. The time is printed, not
# tested (0.15 s on two cores of an AMD EPYC).
{
  echo 'settings: {text.vocabulary: v.txt, data.train: s.tar, samples: 1000, learning_rate: 1e-3}'
  echo 'matrix:'
  echo '  mask_ratio: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]'
  echo "  seed: [$(seq -s, 1 1000)]"
} > ten_thousand.yaml
start=$(date +%s%N)
expect_status 0 "$FLIPBENCH" check ten_thousand.yaml
echo "10,000 cells: $((($(date +%s%N) - start) / 1000000)) ms"
expect_line out.txt 'ok: 10000 cells$'
cat >> ten_thousand.yaml <<'Y'
tuning: {unmasked: {from: "${cell}", mask_ratio: 0, samples: 10}}
limits: [{time: 1h}, {when: {tuning: unmasked}, time: 10m}, {when: {mask_ratio: [0, 0.1]}, memory: 8GiB}]
exclude: [{mask_ratio: 0.9, seed: [1, 2, 3]}]
Y
start=$(date +%s%N)
expect_status 0 "$FLIPBENCH" check ten_thousand.yaml
echo "with tuning, limits and exclude: $((($(date +%s%N) - start) / 1000000)) ms"
expect_line out.txt 'ok: 19994 cells, 9997 of them tuned'
# a mistake in one of them is found
sed -i 's/seed: \[1,2,/seed: [1,2,2,/' ten_thousand.yaml
expect_status 2 "$FLIPBENCH" check ten_thousand.yaml
expect_line err.txt "two cells are the same run: 'mask_ratio=0 seed=2'"

# Without --profile every profile is checked, and its problems are reported.
cat > profiles.yaml <<'Y'
settings: {text.vocabulary: v.txt, data.train: s.tar, samples: 1000, learning_rate: 1e-3}
matrix: {seed: [1, 2]}
profiles:
  good: {matrix: {seed: [3]}}
  bad: {settings: {mask_rato: 0.5}}
Y
expect_status 2 "$FLIPBENCH" check profiles.yaml
expect_line err.txt "profile bad: profiles.yaml:5:20: unknown setting 'mask_rato'"
expect_line err.txt "did you mean 'mask_ratio'"
expect_status 0 "$FLIPBENCH" check profiles.yaml --profile good
expect_line out.txt 'ok: 1 cell$'
