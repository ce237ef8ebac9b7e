#!/usr/bin/env bash
# Measured times of cuDNN's attention and ours by shape (core/cuda/attention.c), from the choices that
# runs have stored: a table for the report, with the lower bound by memory bandwidth where the device in the
# file's name is one whose bandwidth is known here: about nine tenths of its memory's peak.
#   usage: tests/gpu/attention_times.sh CHOICES_FILE…
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: tests/gpu/attention_times.sh CHOICES_FILE…" >&2; exit 2; }

# A line has 16 numbers of the key and 16 of the value, 64 bits each, little-endian.
number() { # HEX
  local h=$1 value='' i
  for ((i = 14; i >= 0; i -= 2)); do value+=${h:i:2}; done
  echo $((16#$value))
}
bandwidth() { # FILE: TB/s, or nothing
  case ${1##*/} in
  *H100-80GB-HBM3*) echo 3.0 ;;
  *H200-*) echo 4.3 ;;
  *) echo "" ;;
  esac
}
echo "| | batch | tokens | heads | width | causal | sums | ours, us | cuDNN, us | bytes, us at TB/s | chosen |"
echo "|---|---:|---:|---:|---:|---|---|---:|---:|---:|---|"
for file; do
  sed "s/$/ $(bandwidth "$file")/" "$file"
done | while read -r key value rate; do
  [ "${key:0:16}" = 0200000000000000 ] || continue
  part=() result=()
  for i in 0 1 2 3 4 5 6 7 8; do part+=("$(number "${key:i*16:16}")"); done
  for i in 0 1 2; do result+=("$(number "${value:i*16:16}")"); done
  [ "${result[1]}" -gt 0 ] || continue
  # forward: q, k, v, out; backward: q, k, v, dout and dqkv
  awk -v backward="${part[1]}" -v batch="${part[2]}" -v tokens="${part[3]}" -v heads="${part[4]}" -v width="${part[5]}" \
    -v causal="${part[6]}" -v sums="${part[8]}" -v own="${result[1]}" -v other="${result[2]}" -v which="${result[0]}" -v rate="$rate" 'BEGIN {
      bytes = batch * heads * tokens * ((backward ? 7 : 4) * width * 2 + 4)
      printf "| %s | %d | %d | %d | %d | %s | %s | %.1f | %s | %s | %s |\n", backward ? "backward" : "forward", batch, tokens, heads,
        width, causal ? "yes" : "no", sums ? "yes" : "no", own / 1e3, other ? sprintf("%.1f", other / 1e3) : "–",
        rate ? sprintf("%.1f at %s", bytes / rate / 1e6, rate) : "–", which < 0 ? "ours" : "cuDNN" }'
done | sort -t'|' -k2,2r -k4,4n -k3,3n
