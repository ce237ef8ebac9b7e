# Counts kernels and memory clears in one recorded step, by name: of a model with the depth of ViT-L/16
# and its text tower and the same lengths (50 tokens: 75 % of 196 patches masked; captions of 32), but
# narrow, since the counts do not depend on the widths. At these lengths our attention kernels are used,
# as predicted for an H100. Additional launches by the libraries (split sums, counters) are unknown and
# not counted.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/imitation.sh"
make_data
deep=(--set batch_size=2 --set samples=6 --set eval.points=0 --set precision=bf16 --set deterministic=false
  --set image.size=56 --set image.patch=8 --set mask_ratio=0 --set image.width=64 --set image.heads=1
  --set image.layers=24 --set text.width=64 --set text.heads=1 --set text.layers=12 --set text.length=32
  --set log_every=100)

# count WORDS WHAT option…: of cuBLASLt's imitation; sets kernels and clearings
count() {
  local words=$1 what=$2
  shift 2
  rm -rf trace "run-$words"
  FLIP_IMITATION_DNN=fails FLIP_IMITATION_BLAS=$words FLIP_IMITATION_TRACE=$PWD/trace \
    XDG_CACHE_HOME=$PWD/cache-$words gpu "run-$words" "${deep[@]}" "$@"
  sed -n '/^cudaStreamBeginCapture$/,/^cudaStreamEndCapture$/p' trace |
    awk '/^cudaStreamBeginCapture$/ { recordings++ } { if (recordings == 1) print }' >recorded
  grep -vE '^(cuda|cublas|cudnn|algorithm: )' recorded >kernel_names || true
  products=$(grep -c '^cublasLtMatmul$' recorded || true)
  clearings=$(grep -c '^cudaMemsetAsync$' recorded || true)
  kernels=$(($(wc -l <kernel_names) + products))
  [ "$kernels" -gt 500 ] || fail "$what: no step was recorded"
  echo "$what: $kernels kernels ($products products), $clearings clearings"
  awk '/^cublasLtMatmul$/ { own = 0; next } /^cudaMemsetAsync$/ { own = -1; next } /^(cuda|cublas|cudnn|algorithm: )/ { next }
    { if (own == 1) after_own++; else if (own == 0) after_product++; own = 1 }
    END { printf "kernels of ours: %d directly after another, %d after a product\n", after_own, after_product }' recorded
  sort kernel_names | uniq -c | sort -rn | awk '{ printf "  %4d %s\n", $1, $2 }'
}
count usual "GELU's gradient by the library, its sums by ours"
[ "$kernels" -lt 900 ] || fail "$kernels kernels per step"
[ "$clearings" -le 8 ] || fail "$clearings clearings per step"
! grep -q '^cast_elements$' kernel_names || [ "$(grep -c '^cast_elements$' kernel_names)" -le 4 ] || fail "biases are rounded again for each product"
! grep -q '^square_' kernel_names || fail "the gradients' norm is computed in a step that needs none"
count dgelu_bgrad "GELU's gradient by the library, with its sums"
[ "$kernels" -lt 850 ] || fail "$kernels kernels a step"
! grep -q '^column_parts' kernel_names || [ "$(grep -c '^column_parts' kernel_names)" -le 3 ] || fail "bias gradients are summed in separate passes" # the patches' bias, the class token, positions

# In 8 bits: no maximum is found in a separate pass except that of a hidden layer, whose activation is
# computed where it is rounded, of the two towers' few layers outside the blocks, and of the weights;
# nothing is rounded twice, weights included.
count eight "in 8 bits" --set precision=fp8 --set batch_size=8 --set samples=24 # 8 times 50 tokens: a multiple of 16
blocks=$((24 + 12))
times() { grep -cE "^$1\$" kernel_names || true; }
[ "$(times 'narrow_activated_maximum_bf16')" -eq $blocks ] || fail "$(times 'narrow_activated_maximum_bf16') maxima of hidden layers"
[ "$(times 'narrow_activated_bf16')" -eq $blocks ] || fail "$(times 'narrow_activated_bf16') hidden layers rounded"
[ "$(times 'narrow_values_bf16')" -le $((7 * blocks + 6)) ] || fail "$(times 'narrow_values_bf16') matrices are rounded"
[ "$(times 'narrow_maximum_bf16')" -le 6 ] || fail "$(times 'narrow_maximum_bf16') maxima are found in separate passes"
[ "$(times 'largest_of_bf16')" -eq 0 ] || fail "$(times 'largest_of_bf16') maxima are found after an op"
[ "$(times 'narrow_list_values')" -le 5 ] || fail "the weights are rounded in $(times 'narrow_list_values') launches"
[ "$kernels" -lt 1250 ] || fail "$kernels kernels per step in 8 bits"
[ "$clearings" -le 14 ] || fail "$clearings clearings per step in 8 bits"

# With delayed scaling factors are known before: no maximum of an activation is found in a pass of its own,
# and gradients pass through the activation while they are rounded.
count late "in 8 bits with delayed scaling" --set precision=fp8 --set fp8_scaling=delayed --set batch_size=8 --set samples=24
[ "$(times 'narrow_activated_maximum_bf16')" -eq 0 ] || fail "maxima of hidden layers are found in separate passes"
[ "$(times 'narrow_gradient_bf16')" -eq $blocks ] || fail "$(times 'narrow_gradient_bf16') gradients of hidden layers are rounded with their activation"
[ "$(times 'slope_sums_bf16')" -eq 0 ] || fail "$(times 'slope_sums_bf16') gradients of activations are stored in 16 bits"
[ "$(times 'norm_eight_bf16')" -eq $((2 * blocks)) ] || fail "$(times 'norm_eight_bf16') norms write 8 bits"
[ "$(times 'turn_bytes')" -eq $blocks ] || fail "$(times 'turn_bytes') gradients of attention are written in 8 bits"
[ "$(times 'narrow_values_bf16')" -le $((3 * blocks + 6)) ] || fail "$(times 'narrow_values_bf16') matrices are rounded"
[ "$(times 'narrow_advance')" -eq 2 ] || fail "scales are advanced in $(times 'narrow_advance') launches"
[ "$kernels" -lt 1110 ] || fail "$kernels kernels per step in 8 bits with delayed scaling"
