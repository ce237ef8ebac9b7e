# Algorithms are chosen once for all runs; once a step was recorded no memory is taken any more.
. "$SOURCE/tests/train/common.sh"
. "$SOURCE/tests/imitation/common.sh"
make_data
tiny=(--set batch_size=8 --set samples=48 --set eval.points=1 --set precision=bf16)
calls() { grep -c "^$2\$" "$1" || true; }

FLIP_IMITATION_TRACE=$PWD/first gpu a "${tiny[@]}"
FLIP_IMITATION_TRACE=$PWD/second gpu b "${tiny[@]}"
[ "$(calls first cublasLtMatmulAlgoGetHeuristic)" -gt 10 ] || fail "the first run chose nothing"
# one question a device that is opened: which GELU the library has
[ "$(calls second cublasLtMatmulAlgoGetHeuristic)" = "$(calls second cublasLtCreate)" ] || fail "the second run chose again"
[ "$(calls second cublasLtMatmulAlgoCheck)" -gt 10 ] || fail "the second run recalled nothing"
cmp "$(newest a)" "$(newest b)" || fail "recalled choices gave other bits"

# Two sets of inputs, a recording each, launched at every step from the third on.
[ "$(calls second cudaGraphInstantiate)" = 2 ] || fail "recordings: $(calls second cudaGraphInstantiate)"
[ "$(calls second cudaGraphLaunch)" = 4 ] || fail "replays: $(calls second cudaGraphLaunch)"
sed -n '/^cudaGraphInstantiate$/,$p' second >after
[ "$(calls after cudaMalloc)" = 0 ] || fail "memory was taken after a step had been recorded"
