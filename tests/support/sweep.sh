# Shared by the flipbench tests: an experiment run by a fake trainer.
export FLIP=$BINARY/tests/fake_flip
export ASAN_OPTIONS=handle_segv=0${ASAN_OPTIONS:+:$ASAN_OPTIONS} # a crash of the fake is to be one
. "$SOURCE/tests/support/record.sh"
mkdir -p experiments
: > vocab.txt
cat > experiments/small.yaml <<'Y'
name: small
title: "Mask ratio, made up"
settings: {samples: 8k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 4}
matrix:
  mask_ratio: [0, 0.5, 0.75]
tuning:
  unmasked: {from: "${cell}", unless: {mask_ratio: 0}, mask_ratio: 0, samples: 1k, eval.points: 1}
report:
  rows: mask_ratio
  baseline: {mask_ratio: 0}
  iso: retrieval_i2t_r1
  columns: [samples_per_second, speedup, time_ratio, flops_ratio, peak_memory, zero_shot_top1,
            tuned_zero_shot_top1, iso_speedup]
  reference:
    - {mask_ratio: 0.5, time_ratio: 0.50, zero_shot_top1: 69.6, verified: false}
  plots: [accuracy_vs_time, throughput, memory, loss]
Y
