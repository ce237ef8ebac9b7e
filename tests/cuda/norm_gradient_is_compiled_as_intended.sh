# The compiler's report and machine code of layer norm's gradient, for sm_80 and sm_90a: two blocks of 256
# threads fit a multiprocessor's registers, at most 40 bytes are spilled and loaded in bf16, all rows of a tile are
# loaded 16 bytes at a time before the barrier, sums are written without atomics of floats, and results are rounded two
# at a time. Needs nvcc, and for the machine code nvdisasm (NVDISASM, CUDA_HOME, PATH, or a Python package
# of NVIDIA's); reports what is missing, with status 77.
. "$SOURCE/tests/support/assembler.sh"
# kernel, registers, bytes of spills
report() {
  awk '/Compiling entry function/ { kernel = $0; sub(/.*function ._Z[0-9]+/, "", kernel); sub(/14norm_arguments.*/, "", kernel) }
       /bytes stack frame/ { spills = $5 + $9 }
       /Used [0-9]+ registers/ { for (i = 1; i < NF; i++) if ($i == "Used") print kernel, $(i + 1), spills }' "$1"
}
for arch in sm_80 sm_90a; do
  "$nvcc" -std=c++17 -I"$SOURCE/core" -cubin "-arch=$arch" -Xptxas -v -Werror all-warnings \
    "$SOURCE/core/cuda/layer_norm_gradient.cu" -o "$arch.cubin" 2>"$arch.txt" || { cat "$arch.txt" >&2; fail "it does not compile for $arch"; }
  report "$arch.txt" | tee "$arch.report" | sed "s/^/$arch /"
  [ "$(wc -l <"$arch.report")" = 7 ] || fail "the report for $arch names $(wc -l <"$arch.report") kernels"
  awk '$1 ~ /^norm_gradient_(bf16|f32)$/ && ($2 > 128 || $3 > 40) { exit 1 }' "$arch.report" || fail "two blocks do not fit on $arch, or registers spill"
done
[ -n "$disassembler" ] || { echo "SKIPPED: no nvdisasm: the compiler's report is as expected, the machine code was not checked" >&2; exit 77; }
for arch in sm_80 sm_90a; do
  "$disassembler" -c "$arch.cubin" | awk '/^[.]text[.]/ { inside = /norm_gradient_bf16/ }
    inside && $1 ~ /^\/[*][0-9a-f]+[*]\/$/ { op = $2 ~ /^@/ ? $3 : $2; sub(/;$/, "", op); print op }' >"$arch.ops"
  before=$(awk '/^BAR[.]SYNC/ { exit } /^LDG[.]E[.]128/ { n++ } END { print n + 0 }' "$arch.ops")
  [ "$before" -ge 12 ] || fail "$before loads of 16 bytes before the barrier on $arch, expected 12 for a tile"
  ! grep -E '^((RED|ATOM)[GS]?[.][^ ]*F(16|32|64)|LDG[.]E[.]U16|STG[.]E[.]U16)' "$arch.ops" || fail "an atomic, or an element at a time, on $arch"
  grep -q '^F2FP[.]BF16' "$arch.ops" || fail "elements are rounded one by one on $arch"
  echo "$arch: norm_gradient_bf16 has $(wc -l <"$arch.ops") instructions, $before loads of 16 bytes before its barrier"
done
