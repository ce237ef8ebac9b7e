# The compiler's report and machine code of the attention kernels for short sequences, for sm_80 and
# sm_90a: no spill, products on the tensor cores (HMMA), asynchronous 16-byte copies to shared memory (LDGSTS),
# fragments by ldmatrix, 16-byte stores, no atomics but of integers (maxima and counts, the same in any order).
# Prints registers and concurrent blocks per multiprocessor at the relevant lengths. Needs nvcc, and for the
# machine code nvdisasm (NVDISASM, CUDA_HOME, PATH, or a Python package of NVIDIA's or Triton's); reports what
# is missing, with status 77.
shopt -s nullglob
. "$SOURCE/tests/support/assembler.sh"

# kernel, registers, bytes of stack and of spills, from the assembler's report
report() {
  awk '/Compiling entry function/ { kernel = $0; sub(/.*function .[^a-z]*[0-9]+/, "", kernel); sub(/19attention_arguments.*/, "", kernel) }
       /bytes stack frame/ { stack = $1; spills = $5 + $9 }
       /Used [0-9]+ registers/ { for (i = 1; i < NF; i++) if ($i == "Used") print kernel, $(i + 1), stack, spills }' "$1"
}
# kernel, opcode, how often
opcodes() {
  awk '/^[.]text[.]/ { kernel = $1; sub(/^[.]text[.]_Z[0-9][0-9]/, "", kernel); sub(/19attention_arguments:?$/, "", kernel) }
       $1 ~ /^\/[*][0-9a-f]+[*]\/$/ { op = $2 ~ /^@/ ? $3 : $2; sub(/;$/, "", op); count[kernel " " op]++ }
       END { for (key in count) print key, count[key] }' "$1"
}
# Each kernel has an opcode of each of these; none has one of those that are forbidden.
required='HMMA[.]16816[.]F32[.]BF16 LDGSTS[.].*128 LDSM[.]16[.]M88[.]4 LDSM[.]16[.]MT88[.]4 STG[.]E[.]128 MUFU[.]EX2'
forbidden='LDL|STL|(RED|ATOM)[GS]?[.][^ ]*F(16|32|64)|STG[.]E[.]U16|LDG[.]E[.]U16|LDGSTS[.]E|LDGSTS[.]E[.]64'

for arch in sm_80 sm_90a; do
  : >"$arch.report"
  for file in attention_short attention_short_gradient attention_walk_gradient; do
    "$nvcc" -std=c++17 -I"$SOURCE/core" -cubin "-arch=$arch" -Xptxas -v -Werror all-warnings \
      "$SOURCE/core/cuda/$file.cu" -o "$file.$arch.cubin" 2>"$file.$arch.txt" || { cat "$file.$arch.txt" >&2; fail "$file does not compile for $arch"; }
    report "$file.$arch.txt" >>"$arch.report"
  done
  [ "$(wc -l <"$arch.report")" -ge 47 ] || fail "the compiler's report for $arch names $(wc -l <"$arch.report") kernels"
  spilled=$(awk '$3 > 0 || $4 > 0' "$arch.report")
  [ -z "$spilled" ] || fail "kernels for $arch use local memory (kernel, registers, stack, spills): $spilled"
done

# Blocks on a multiprocessor: by registers (65,536, a warp's in units of 256), shared memory (1 KiB of each
# block's is the system's) and threads.
blocks() { # ARCH KERNEL WARPS SHARED_BYTES
  awk -v kernel="$2" -v warps="$3" -v shared="$4" -v arch="$1" '$1 == kernel {
    all = arch == "sm_80" ? 164 * 1024 : 228 * 1024
    registers = int(65536 / (warps * int(($2 * 32 + 255) / 256) * 256)); memory = int(all / (shared + 1024)); n = int(64 / warps)
    if (n > 32) n = 32
    if (memory < n) n = memory
    if (registers < n) n = registers
    printf "%-7s %-24s %3d registers %6d bytes shared %2d blocks %2d warps\n", arch, kernel, $2, shared, n, n * warps }' "$1.report"
}
for arch in sm_80 sm_90a; do # bytes as in the files' launchers
  for shape in "50 64" "32 64" "99 64" "197 64" "64 80" "128 80" "256 80"; do
    set -- $shape
    rows=$((($1 + 15) / 16 * 16)) pitch=$(($2 + 8)) warps=$((($1 + 15) / 16))
    forward=$((warps > 8 ? (warps + 1) / 2 : warps))
    tile=$((rows <= 32 ? 32 : 64)) half=$([ $rows -gt 32 ] || echo half_)
    keys=$((rows > 64 ? rows : tile))
    echo "$1 tokens, heads of $2:"
    blocks $arch "$([ $rows -gt 64 ] && echo walk_forward_ || echo short_forward_$half)$2" $forward $(((2 * keys + forward * 16) * pitch * 2))
    if [ $rows -gt 64 ]; then
      blocks $arch "$([ $rows -gt 128 ] && echo long || echo walk)_gradient_$2" $warps \
        $(((2 * rows + 128) * pitch * 2 + rows * 80 + (2 * rows + warps * 3 * $2) * 4))
    else
      blocks $arch "short_gradient_$half$2" $warps \
        $((((2 * tile + 2 * rows) * pitch + rows * (tile + 8)) * 2 + (tile + warps * (tile + 3 * $2)) * 4))
    fi
  done
done

[ -n "$disassembler" ] || { echo "SKIPPED: no nvdisasm: the compiler's report is as expected, the machine code was not checked" >&2; exit 77; }
for arch in sm_80 sm_90a; do
  for file in attention_short attention_short_gradient attention_walk_gradient; do
    "$disassembler" -c "$file.$arch.cubin" >"$file.$arch.sass"
    opcodes "$file.$arch.sass"
  done >"$arch.opcodes"
  while read -r kernel _; do
    for op in $required; do
      grep -qE "^$kernel $op" "$arch.opcodes" || fail "$kernel for $arch has no $op"
    done
    found=$(grep -E "^$kernel ($forbidden)([.][^ ]*)? " "$arch.opcodes" | grep -v 'LDGSTS.*128' || true)
    [ -z "$found" ] || fail "$kernel for $arch has forbidden instructions: $found"
  done <"$arch.report"
  echo "$arch: $(wc -l <"$arch.report") kernels; short_gradient_64: $(grep '^short_gradient_64 ' "$arch.opcodes" | sort -k3,3nr | awk '{ n += $3 } END { printf "%d instructions", n }'), $(awk '$1 == "short_gradient_64" && $2 ~ /^(HMMA|LDSM|LDGSTS|STG|SHFL|BAR)/ { printf "%s x %d, ", $2, $3 }' "$arch.opcodes")"
done
