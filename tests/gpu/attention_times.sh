#!/usr/bin/env bash
# Measured times of cuDNN's attention and ours by shape (core/cuda/attention.c), from the choices that
# runs have stored: a table for the report, with the lower bound by memory bandwidth (3.0 TB/s of an H100).
#   usage: tests/gpu/attention_times.sh CHOICES_FILE…
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: tests/gpu/attention_times.sh CHOICES_FILE…" >&2; exit 2; }

# A line has 16 numbers of the key and 16 of the value, 64 bits each, little-endian.
number() { # HEX
  local h=$1 value= i
  for ((i = 14; i >= 0; i -= 2)); do value+=${h:i:2}; done
  echo $((16#$value))
}
echo "| | batch | tokens | heads | width | causal | sums | ours, us | cuDNN, us | bytes at 3.0 TB/s, us | chosen |"
echo "|---|---:|---:|---:|---:|---|---|---:|---:|---:|---|"
cat "$@" | while read -r key value; do
  [ "${key:0:16}" = 0200000000000000 ] || continue
  part=() result=()
  for i in 0 1 2 3 4 5 6 7 8; do part+=("$(number "${key:i*16:16}")"); done
  for i in 0 1 2; do result+=("$(number "${value:i*16:16}")"); done
  [ "${result[1]}" -gt 0 ] || continue
  # forward: q, k, v, out; backward: q, k, v, dout and dqkv
  awk -v backward="${part[1]}" -v batch="${part[2]}" -v tokens="${part[3]}" -v heads="${part[4]}" -v width="${part[5]}" \
    -v causal="${part[6]}" -v sums="${part[8]}" -v own="${result[1]}" -v other="${result[2]}" -v which="${result[0]}" 'BEGIN {
      bytes = batch * heads * tokens * ((backward ? 7 : 4) * width * 2 + 4)
      printf "| %s | %d | %d | %d | %d | %s | %s | %.1f | %s | %.1f | %s |\n", backward ? "backward" : "forward", batch, tokens, heads,
        width, causal ? "yes" : "no", sums ? "yes" : "no", own / 1e3, other ? sprintf("%.1f", other / 1e3) : "–", bytes / 3e6,
        which < 0 ? "ours" : "cuDNN" }'
done | sort -t'|' -k2,2r -k4,4n -k3,3n
