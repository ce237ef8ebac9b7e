# Counts kernels and memory clears in one recorded step, by name: of a model with the depth of ViT-L/16
# and its text tower and the same lengths (50 tokens: 75 % of 196 patches masked; captions of 32), but
# narrow, since the counts do not depend on the widths. At these lengths our attention kernels are used,
# as predicted for an H100. Additional launches by the libraries (split sums, counters) are unknown and
# not counted.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/imitation.sh"
make_data
deep=(--set batch_size=4 --set samples=16 --set eval.points=0 --set precision=bf16 --set deterministic=false
  --set image.size=56 --set image.patch=8 --set mask_ratio=0 --set image.width=64 --set image.heads=1
  --set image.layers=24 --set text.width=64 --set text.heads=1 --set text.layers=12 --set text.length=32
  --set log_every=100)

# count WORDS: of cuBLASLt's imitation; sets kernels and clearings
count() {
  rm -f trace
  FLIP_IMITATION_DNN=fails FLIP_IMITATION_BLAS=$1 FLIP_IMITATION_TRACE=$PWD/trace \
    XDG_CACHE_HOME=$PWD/cache-$1 gpu "run-$1" "${deep[@]}"
  sed -n '/^cudaStreamBeginCapture$/,/^cudaStreamEndCapture$/p' trace |
    awk '/^cudaStreamBeginCapture$/ { recordings++ } { if (recordings == 1) print }' >recorded
  grep -vE '^(cuda|cublas|cudnn|algorithm: )' recorded >kernel_names || true
  products=$(grep -c '^cublasLtMatmul$' recorded || true)
  clearings=$(grep -c '^cudaMemsetAsync$' recorded || true)
  kernels=$(($(wc -l <kernel_names) + products))
  echo "GELU's gradient by the library, ${2}: $kernels kernels ($products products), $clearings clearings"
  awk '/^cublasLtMatmul$/ { own = 0; next } /^cudaMemsetAsync$/ { own = -1; next } /^(cuda|cublas|cudnn|algorithm: )/ { next }
    { if (own == 1) after_own++; else if (own == 0) after_product++; own = 1 }
    END { printf "kernels of ours: %d directly after another, %d after a product\n", after_own, after_product }' recorded
  sort kernel_names | uniq -c | sort -rn | awk '{ printf "  %4d %s\n", $1, $2 }'
}
count usual "its sums by ours"
[ "$kernels" -lt 900 ] || fail "$kernels kernels per step"
[ "$clearings" -le 8 ] || fail "$clearings clearings per step"
! grep -q '^cast_elements$' kernel_names || [ "$(grep -c '^cast_elements$' kernel_names)" -le 4 ] || fail "biases are rounded again for each product"
! grep -q '^square_' kernel_names || fail "the gradients' norm is computed in a step that needs none"
count dgelu_bgrad "with its sums"
[ "$kernels" -lt 850 ] || fail "$kernels kernels a step"
! grep -q '^column_parts' kernel_names || [ "$(grep -c '^column_parts' kernel_names)" -le 3 ] || fail "bias gradients are summed in separate passes" # the patches' bias, the class token, positions
