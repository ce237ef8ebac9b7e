. "$SOURCE/tests/support/sweep.sh"
# Two axes, no baseline, three seeds: every figure is drawn.
cat > experiments/two.yaml <<'Y'
name: two
settings: {samples: 8k, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 4}
matrix: {mask_ratio: [0, 0.5, 0.75], batch_size: [64, 256], seed: [0, 1, 2]}
report:
  rows: [mask_ratio, batch_size]
  columns: [samples_per_second, retrieval_i2t_r1]
  iso: retrieval_i2t_r1
  plots: [accuracy_vs_time, accuracy_vs_samples, throughput, memory, loss, tradeoff_time,
          tradeoff_memory, tradeoff_energy, retrieval_i2t_r1 against batch_size,
          samples_per_second against mask_ratio]
Y
expect_status 0 bench run experiments/two.yaml --no-progress
expect_line err.txt 'figure tradeoff_energy not drawn: no finished run has recorded its values'
expect_status 0 bench plot two --format svg,png,pdf
for name in accuracy_vs_time accuracy_vs_samples throughput memory loss tradeoff_time \
  tradeoff_memory retrieval_i2t_r1_against_batch_size samples_per_second_against_mask_ratio; do
  for format in svg png pdf; do [ -s results/two/plots/$name.$format ] || fail "no $name.$format"; done
done
# Panels by the first key, named; a legend for the second; the band is explained; bars have room.
grep -q 'panels = 3' results/two/plots/accuracy_vs_time.gp || fail "no panels"
for text in 'mask 50 %' '■ batch 256' 'shaded: 95 % interval' '3 seeds'; do
  grep -q "$text" results/two/plots/accuracy_vs_time.gp || fail "'$text' is not in the figure"
done
grep -q '"mask 75 %, batch 256"' results/two/plots/throughput.gp || fail "a bar has no name"
expect_status 0 bench plot two --figure 'final_loss against batch_size' --format svg
expect_status 2 bench plot two --figure 'final_los against batch_size'
expect_status 0 bench plot two --size column --format svg --out column

# gnuplot that is killed in the second figure: that one says why, the page and the rest are there.
mkdir tools
cat > tools/gnuplot <<'S'
#!/bin/sh
case $2 in *accuracy_vs_samples.gp) kill -9 $$ ;; esac
PATH=${PATH#*:} exec gnuplot "$@"
S
chmod +x tools/gnuplot
expect_status 1 env PATH="$PWD/tools:$PATH" "$FLIPBENCH" plot two --format svg --out again
expect_line err.txt 'figure accuracy_vs_samples: gnuplot was killed by signal 9'
[ -s again/loss.svg ] || fail "the figures after it were not drawn"
expect_status 0 env PATH="$PWD/tools:$PATH" "$FLIPBENCH" report two --format html
grep -q 'accuracy_vs_samples: not drawn: gnuplot was killed by signal 9' results/two/report.html || fail "the page does not say why"
grep -q 'aria-label="loss"' results/two/report.html || fail "the page has no other figure"

# Without gnuplot the page says so in the place of each.
mkdir bare
for tool in sh env; do ln -s "$(command -v $tool)" bare/; done
expect_status 0 env PATH="$PWD/bare" "$FLIPBENCH" report two --format html
grep -q 'loss: not drawn: gnuplot is not installed' results/two/report.html || fail "the page does not say why"
