# Algorithms are chosen once for all runs; after a step is recorded, no memory is allocated.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/imitation.sh"
make_data
tiny=(--set batch_size=8 --set samples=48 --set eval.points=1 --set precision=bf16)
calls() { grep -c "^$2\$" "$1" || true; }

FLIP_IMITATION_TRACE=$PWD/first gpu a "${tiny[@]}"
FLIP_IMITATION_TRACE=$PWD/second gpu b "${tiny[@]}"
[ "$(calls first cublasLtMatmulAlgoGetHeuristic)" -gt 10 ] || fail "the first run chose nothing"
# one question a device that is opened: which GELU the library has
[ "$(calls second cublasLtMatmulAlgoGetHeuristic)" = "$(calls second cublasLtCreate)" ] || fail "the second run chose again"
[ "$(calls second cublasLtMatmulAlgoCheck)" -gt 10 ] || fail "the second run reused no choice"
cmp "$(newest a)" "$(newest b)" || fail "reused choices gave other bits"

# Two sets of inputs, a recording each, launched at every step from the third on.
[ "$(calls second cudaGraphInstantiate)" = 2 ] || fail "recordings: $(calls second cudaGraphInstantiate)"
[ "$(calls second cudaGraphLaunch)" = 4 ] || fail "replays: $(calls second cudaGraphLaunch)"
sed -n '/^cudaGraphInstantiate$/,$p' second >after
[ "$(calls after cudaMalloc)" = 0 ] || fail "memory was allocated after a step had been recorded"

# The faster algorithm is the one that is recorded; sums in order of arrival only where the run need
# not give the same bits.
# recorded BLAS option…: the algorithms of the recorded step
recorded() {
  local blas=$1
  shift
  rm -rf d trace
  FLIP_IMITATION_BLAS=$blas FLIP_IMITATION_TRACE=$PWD/trace XDG_CACHE_HOME=$PWD/cache-$blas gpu d "${tiny[@]}" "$@"
  sed -n '/^cudaStreamBeginCapture$/,/^cudaGraphInstantiate$/p' trace | grep '^algorithm: ' | sort -u | tr '\n' ';'
}
[ "$(recorded usual)" = "algorithm: plain;" ] || fail "recorded: $(recorded usual)"
[ "$(recorded slow_first)" = "algorithm: halves;" ] || fail "the slower one was recorded"
# in place for results in fp32, and not for those in bf16, to which sums in place would be rounded
[ "$(recorded usual --set deterministic=false)" = "algorithm: in place;algorithm: plain;" ] || fail "a faster algorithm was not used"

# The library's GELU is used where it has one, and saves a kernel a layer and direction.
activations() { sed -n '/^cudaStreamBeginCapture$/,/^cudaGraphInstantiate$/p' trace | grep -c '^activate' || true; }
recorded usual >/dev/null
[ "$(activations)" = 0 ] || fail "GELU is not left to the library: $(activations) kernels"
recorded no_gelu >/dev/null
[ "$(activations)" -gt 0 ] || fail "GELU is not computed"
