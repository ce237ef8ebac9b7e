#!/usr/bin/env bash
# Packs everything that a GPU machine with a driver and CUDA's libraries needs into one archive:
# programs, plugin, experiment files, and shared libraries.
#   tests/gpu/pack.sh proof.tar.gz                             the proof on a GPU; on that machine:
#     tar xzf proof.tar.gz && proof/tests/gpu/run_all.sh REPORT_FOLDER
#   tests/gpu/pack.sh --experiment FILE [--profile gpu] [--set KEY=VALUE]… table.tar.gz      one table; on that machine:
#     tar xzf table.tar.gz && table/run_table.sh OUT_FOLDER
#   and back here, with the files from OUT_FOLDER:
#     tar xzf NAME.results.tar.gz && flipbench db merge NAME.results
# --build DIR packs the programs of an existing build folder instead of building build/cuda.
set -euo pipefail
usage() {
  echo "usage: tests/gpu/pack.sh [--experiment FILE [--profile NAME] [--set KEY=VALUE]…] [--build DIR] FILE.tar.gz" >&2
  exit 2
}
experiment='' profile=gpu build='' archive='' settings=()
while [ $# -gt 0 ]; do
  case $1 in
  --experiment | --profile | --set | --build) [ $# -ge 2 ] || usage ;;
  esac
  case $1 in
  --experiment) experiment=$(realpath -- "$2"); shift ;;
  --profile) profile=$2; shift ;;
  --set) settings+=(--set "$2"); shift ;;
  --build) build=$(realpath -- "$2"); shift ;;
  -*) usage ;;
  *) [ -z "$archive" ] || usage; archive=$(realpath -- "$1") ;;
  esac
  shift
done
[ -n "$archive" ] || usage
[ -z "$experiment" ] || [ -f "$experiment" ] || { echo "pack.sh: $experiment: no such file" >&2; exit 2; }
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build_programs() { # TARGET…
  [ -z "$build" ] || return 0
  build=build/cuda
  cmake --preset cuda >/dev/null
  cmake --build build/cuda --target "$@" | { grep -vE '^\[[0-9]+/' || true; }
}
# Libraries of the C library, the driver and CUDA are expected on the machine.
pack_libraries() { # FOLDER PROGRAM…
  local folder=$1 program
  shift
  for program in "$@"; do ldd "$program" | awk '$3 ~ /^\// {print $3}'; done |
    sort -u | { grep -vE '/(libc|libm|libdl|libpthread|librt|ld-linux)[.-]|libcu|libnv|libnccl' || true; } |
    while read -r library; do cp -L "$library" "$folder/"; done
}
pack_plugin() { # FOLDER
  if [ -f "$build/lib/libflip_cuda.so" ]; then
    cp "$build/lib/libflip_cuda.so" "$1/"
  else
    echo "pack.sh: $build has no libflip_cuda.so: the archive will only run on a CPU" >&2
  fi
}

pack_proof() {
  local out=$work/proof
  build_programs flip flip_cuda flip_nccl gpu_calls test_ops test_step test_narrow
  mkdir -p "$out/bin" "$out/lib" "$out/tests" "$out/experiments"
  cp "$build/bin/flip" "$out/bin/"
  pack_plugin "$out/lib"
  if [ -f "$build/lib/libflip_nccl.so" ]; then cp "$build/lib/libflip_nccl.so" "$out/lib/"; fi
  cp "$build/tests/gpu_calls" "$build/tests/test_ops" "$build/tests/test_step" "$build/tests/test_narrow" "$out/tests/"
  cp -r experiments/presets "$out/experiments/"
  cp -r tests/gpu tests/peers "$out/tests/"
  # of the programs, which may be older than the checkout
  "$build/bin/flip" --version | sed 's/.*(\([^,]*\),.*/\1/' >"$out/commit"
  pack_libraries "$out/lib" "$out/bin/flip" $(find "$out/lib" -name 'libflip_*.so') "$out"/tests/*_calls "$out"/tests/test_*
  tar czf "$archive" -C "$work" proof
}

# The experiment keeps its path below the checkout, so that 'flipbench report NAME' finds its file here
# after the merge; a file from elsewhere is put into the archive's own folder.
pack_table() {
  local out=$work/table path=${experiment#"$PWD"/}
  build_programs flip flipbench flip_cuda
  mkdir -p "$out/bin" "$out/lib" "$out/share/flip"
  cp "$build/bin/flip" "$build/bin/flipbench" "$out/bin/"
  pack_plugin "$out/lib"
  cp -r experiments plots "$out/share/flip/"
  ln -s share/flip/experiments "$out/experiments"
  if [ "$path" = "$experiment" ]; then
    path=$(basename "$experiment")
    cp "$experiment" "$out/$path"
  elif [ ! -f "$out/$path" ]; then
    mkdir -p "$(dirname "$out/$path")"
    cp "$experiment" "$out/$path"
  fi
  cp tests/gpu/run_table.sh "$out/"
  { printf '%s\n' "$path" --profile "$profile"; [ ${#settings[@]} = 0 ] || printf '%s\n' "${settings[@]}"; } >"$out/words"
  pack_libraries "$out/lib" "$out/bin/flip" "$out/bin/flipbench"
  mapfile -t words <"$out/words"
  # its bases and sets must be in the archive too: rejected here rather than on the other machine
  (cd "$out" && env LD_LIBRARY_PATH="$out/lib" bin/flipbench check "${words[@]}") || exit 2
  tar czf "$archive" -C "$work" table
}

if [ -n "$experiment" ]; then pack_table; else pack_proof; fi
du -h "$archive"
