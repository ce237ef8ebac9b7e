# Shared by the flipbench tests with the real trainer: the experiment of sweep.sh, with a
# model of some thousand parameters. Several hundred steps a cell, some seconds in all.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/record.sh"
make_data
mkdir -p experiments
cat > experiments/small.yaml <<'Y'
name: small
title: "Mask ratio, on scenes"
base: ../run.yaml
settings: {samples: 16k, batch_size: 64, eval.points: 2, checkpoint.every_seconds: 1, image.layers: 1}
matrix:
  mask_ratio: [0, 0.5, 0.75]
tuning:
  unmasked: {from: "${cell}", unless: {mask_ratio: 0}, mask_ratio: 0, samples: 1k, eval.points: 1}
report:
  rows: mask_ratio
  baseline: {mask_ratio: 0}
  iso: retrieval_i2t_r1
  columns: [samples_per_second, speedup, zero_shot_top1]
  plots: []
Y
