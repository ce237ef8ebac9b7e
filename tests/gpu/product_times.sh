#!/usr/bin/env bash
# How the algorithms of matrix products were chosen, from the choices that runs have stored: the time by the
# first algorithm that cuBLASLt's heuristics name and by the chosen one, without our kernels' parts
# (core/cuda/gemm_search.c). A table for the report, and a line with the sums of the times of all products in the
# files: each once, not as often as a step runs it, and without the square ones with which benchmarks measure the
# device's rate.
#   usage: tests/gpu/product_times.sh CHOICES_FILE…
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: tests/gpu/product_times.sh CHOICES_FILE…" >&2; exit 2; }

# A line has 16 numbers of the key and 16 of the value, 64 bits each, little-endian; the algorithm's
# settings are 32 bits each, the cluster's shape 16.
number() { # HEX, of any length: into $value
  local i digits=
  for ((i = ${#1} - 2; i >= 0; i -= 2)); do digits+=${1:i:2}; done
  value=$((16#$digits))
}
numbers() { # HEX DIGITS COUNT: into the array part
  local i
  part=()
  for ((i = 0; i < $3; i++)); do
    number "${1:i*$2:$2}"
    part+=("$value")
  done
}
clusters=(auto - 1x1x1 2x1x1 4x1x1 1x2x1 2x2x1 4x2x1 1x4x1 2x4x1 4x4x1 8x1x1 1x8x1 8x2x1 2x8x1 16x1x1 1x16x1)

cat "$@" | while read -r key chosen; do
  [ "${key:0:16}:${#chosen}" = 0100000000000000:256 ] || continue
  numbers "$key" 16 16 && k=("${part[@]}")
  numbers "${chosen:144}" 16 7 && gain=("${part[@]}")
  numbers "${chosen:16}" 8 7 && settings=("${part[@]}")
  number "${chosen:76:4}" && cluster=${clusters[value]:-$value}
  number "${chosen:0:16}" && form=$value
  [ "${gain[1]}" -gt 0 ] || continue
  # type_a 28 and 29: 8 bits, where every product is of the form a bᵀ
  kind="input gradient"
  if [ "${k[7]}" = 1 ] || { [ "${k[4]}" -ge 28 ] && [ "${k[6]}" = 0 ]; }; then
    kind="weight gradient"
  elif [ "${k[8]}" = 1 ] && [ "${k[4]}" != 29 ]; then
    kind=forward
  fi
  echo "$kind ${k[1]} ${k[2]} ${k[3]} ${k[4]} $form ${gain[*]} ${settings[0]} ${settings[3]} ${settings[6]} $cluster"
done | sort -k1,1 -k2,2n -k3,3n -k4,4n | awk '
  function tile(rows, columns) { return rows ? rows "x" columns : "?" }
  BEGIN {
    print "| product | m | n | k | bits | form | first named, us | chosen, us | TFLOP/s | tried | tile | cluster | parts of k | algorithm | option | |"
    print "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---|---:|---:|---:|---|"
  }
  {
    at = 2
    kind = $1
    if ($2 == "gradient") { kind = $1 " " $2; at = 3 }
    m = $at; n = $(at + 1); depth = $(at + 2); type = $(at + 3); form = $(at + 4)
    g = at + 5
    first = $g; chosen = $(g + 1)
    bits = type == 0 ? 32 : type >= 28 ? 8 : 16
    printf "| %s | %d | %d | %d | %d | %d | %.1f | %.1f | %.0f | %d | %s | %s | %d | %d | %d | %s |\n", kind, m, n, depth, bits, form,
      first / 1e3, chosen / 1e3, 2 * m * n * depth / chosen / 1e3, $(g + 2), tile($(g + 5), $(g + 6)), $(g + 10), $(g + 8), $(g + 7),
      $(g + 9), $(g + 4) ? "not named" : ""
    if (m == n && n == depth && (m == 1600 || m == 4096 || m == 8192)) next
    count++
    sum_first += first; sum += chosen; wrong += $(g + 3); new += $(g + 4) != 0
  }
  END {
    if (count) printf "\n%d products, once each, without the benchmarks\x27 square ones: %.3f ms by the first algorithms named, %.3f ms by the chosen ones (%.1f %% less); %d by algorithms that the heuristics did not name, %d variants with wrong results\n",
      count, sum_first / 1e6, sum / 1e6, 100 * (1 - sum / sum_first), new, wrong
  }'
