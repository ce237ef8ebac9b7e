# Shared by the tests of bundles: data and a vocabulary, and make_tiny, the base of their experiments.
. "$SOURCE/tests/support/training.sh"
unset FLIPBENCH_DB
export NO_COLOR=1
bench() { "$FLIPBENCH" "$@"; }
make_data
make_tiny() {
  cat > tiny.yaml <<'Y'
image: {size: 24, patch: 8, width: 16, layers: 1, heads: 1}
text: {width: 16, layers: 1, heads: 1, length: 8, vocabulary: vocab.txt}
embed_dim: 8
batch_size: 16
samples: 64
learning_rate: 1.0e-3
threads: 1
precision: fp32
data.train: ["data/train-*.tar"]
eval: {sets: [], points: 1}
Y
}
