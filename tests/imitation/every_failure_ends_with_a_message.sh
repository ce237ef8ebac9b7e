# Any CUDA call may fail at any time: the run ends with one line that names it, and
# frees everything it had allocated.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/imitation.sh"
make_data
tiny=(--set batch_size=4 --set samples=16 --set warmup_samples=0 --set eval.sets= --set precision=fp32)
gpu chosen "${tiny[@]}" # the runs below recall its choices
FLIP_IMITATION_TRACE=$PWD/trace gpu whole "${tiny[@]}"

# fails CALL NUMBER… : the first, a middle and the last call of that name
fails() {
  local call=$1 count
  shift
  count=$(grep -c "^$call\$" trace) || fail "$call is never called"
  for number in "$@"; do
    [ "$number" -le "$count" ] || number=$count
    echo "$call:$number of $count"
    FLIP_IMITATION_FAIL=$call:$number expect_status 1 train --out failed --set device=cuda "${tiny[@]}"
    [ "$(grep -c . err.txt)" = 1 ] || { cat err.txt; fail "$call:$number: more than a line"; }
    expect_line err.txt '^flip: error: .*(CUDA|cuBLASLt|GPU memory)'
    rm -rf failed
  done
}
fails cudaStreamCreateWithFlags 1 2
fails cudaEventCreateWithFlags 1 3
fails cublasLtCreate 1 2
fails cudaMalloc 1 2 3 5 8 12 15
fails cudaMemcpyAsync 1 9 99
fails cudaStreamBeginCapture 1 2
fails cudaGraphInstantiate 1
fails cudaGraphLaunch 2
fails cudaEventRecord 99
fails cublasLtMatmul 100 999 # the first ones are tries, of which one may fail
fails cublasLtMatmulDescCreate 1 9
fails cublasLtMatrixLayoutCreate 2 20

# Without memory for the second branch's workspace or scratch, the last that are allocated, a recorded step has one
# branch: the same bits.
weights() { tensors "$(ls "$1"/checkpoints/*.safetensors | tail -n 1)"; }
count=$(grep -c '^cudaMalloc$' trace)
for number in $((count - 1)) "$count"; do
  FLIP_IMITATION_FAIL=cudaMalloc:$number gpu one_branch "${tiny[@]}"
  expect_line gpu.err 'warning: the towers take turns, because a second branch of the step lacks memory: out of GPU memory'
  cmp <(weights whole) <(weights one_branch) || fail "one branch gives other losses than two"
  rm -rf one_branch
done

# Memory that cannot be pinned only makes copies slower.
FLIP_IMITATION_FAIL=cudaHostRegister:1 gpu unpinned "${tiny[@]}" --set data.prefetch=2
