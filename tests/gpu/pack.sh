#!/usr/bin/env bash
# Packs what the proof on a GPU needs into one archive that runs on a machine with a driver and
# CUDA's libraries but nothing of ours: programs, plugin, tests, scripts, presets, and the shared
# libraries that such a machine lacks.
#   tests/gpu/pack.sh proof.tar.gz          then, over there:
#   tar xzf proof.tar.gz && proof/tests/gpu/run_all.sh REPORT_FOLDER
set -euo pipefail
[ $# = 1 ] || { echo "usage: tests/gpu/pack.sh FILE.tar.gz" >&2; exit 2; }
archive=$(realpath "$1")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$work/proof
cmake --preset cuda >/dev/null
cmake --build build/cuda --target flip flip_cuda flip_nccl gpu_calls test_ops test_step test_narrow | { grep -vE '^\[[0-9]+/' || true; }
mkdir -p "$out/bin" "$out/lib" "$out/tests" "$out/experiments"
cp build/cuda/bin/flip "$out/bin/"
cp build/cuda/lib/libflip_cuda.so build/cuda/lib/libflip_nccl.so "$out/lib/"
cp build/cuda/tests/gpu_calls build/cuda/tests/test_ops build/cuda/tests/test_step build/cuda/tests/test_narrow "$out/tests/"
cp -r experiments/presets "$out/experiments/"
cp -r tests/gpu tests/peers "$out/tests/"
git rev-parse HEAD >"$out/commit"
# what the C library or the driver brings is there; CUDA's own libraries too
for program in "$out/bin/flip" "$out/tests/gpu_calls" "$out/lib/libflip_nccl.so" "$out"/tests/test_*; do
  ldd "$program" | awk '$3 ~ /^\// {print $3}'
done | sort -u | grep -vE '/(libc|libm|libdl|libpthread|librt|ld-linux)[.-]|libcu|libnv|libnccl' |
  while read -r library; do cp -L "$library" "$out/lib/"; done
tar czf "$archive" -C "$work" proof
du -h "$archive"
