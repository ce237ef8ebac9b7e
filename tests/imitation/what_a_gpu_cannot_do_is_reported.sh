# A driver or GPU that is too old, or too little memory: one line with the cause and a remedy.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/imitation.sh"
make_data

# refused PATTERN option…: the run ends with one line that matches.
refused() {
  local pattern=$1
  shift
  expect_status 1 train --out refused --set device=cuda "$@"
  [ "$(grep -v 'there is no warm-up' err.txt | grep -c .)" = 1 ] || { cat err.txt; fail "more than a line"; }
  expect_line err.txt "$pattern"
  rm -rf refused
}
FLIP_IMITATION_DRIVER=12.8 refused 'the NVIDIA driver supports CUDA 12.8, this build needs [0-9.]+: update the driver'
FLIP_IMITATION_DRIVER=none refused 'this machine has no NVIDIA driver'
FLIP_IMITATION_DEVICES=0 refused 'no NVIDIA GPU is visible .*CUDA_VISIBLE_DEVICES is not set'
FLIP_IMITATION_CAPABILITY=7.5 refused 'compute capability 7.5; bf16 tensor cores need 8.0'
FLIP_IMITATION_CAPABILITY=8.0 refused 'precision: fp8 needs .*this one has 8.0: use bf16' --set precision=fp8
# Widths that settings allow and the kernels do not: reported before anything is computed.
refused 'image.width: 8200 is above 8192, .* device: cuda' --set image.width=8200 --set image.heads=100
refused 'image.heads: 1 makes heads of width 256 of image.width 256, above 128, .* device: cuda' --set image.width=256 --set image.heads=1
refused 'text.vocabulary_rows: 70000 entries are above 65536, .* device: cuda' --set text.vocabulary_rows=70000
refused 'image.patch: 1 makes 65537 positions .*, above 65536, .* device: cuda' --set image.size=256 --set image.patch=1 \
  --set image.position=learned
# auto uses the CPU instead
FLIP_IMITATION_DRIVER=12.8 expect_status 0 train --out cpu --set device=auto --set samples=32 --set eval.sets=

# Too little memory for anything, for the matrix-product measurement, and for this run.
FLIP_IMITATION_MEMORY=1 refused "out of GPU memory: 64.0 MiB needed for .*workspace; 1.00 MiB of 1.00 MiB free"
FLIP_IMITATION_MEMORY=70 refused "out of GPU memory: [0-9.]+ MiB needed for measuring matrix products; [0-9.]+ MiB of 70.0 MiB free"
FLIP_IMITATION_MEMORY=300 refused 'the run needs an estimated [0-9.]+ .iB of GPU memory, but 236 MiB are free \(a twentieth of them for the libraries\): it would fit with micro_batch_size: [0-9]+ \([0-9.]+ MiB\), or image.recompute: 2' \
  --set batch_size=8192 --set samples=8192 --set eval.sets=
