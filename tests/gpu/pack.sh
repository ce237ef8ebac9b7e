#!/usr/bin/env bash
# Packs everything that a GPU machine with a driver and CUDA's libraries needs into one archive:
# programs, plugin, experiment files, and shared libraries.
#   tests/gpu/pack.sh proof.tar.gz                             the proof on a GPU; on that machine:
#     tar xzf proof.tar.gz && proof/tests/gpu/run_all.sh REPORT_FOLDER
#   tests/gpu/pack.sh --experiment FILE [--profile gpu] [--set KEY=VALUE]… table.tar.gz      one table; on that machine:
#     tar xzf table.tar.gz && table/run_table.sh OUT_FOLDER
#   and back here, with the files from OUT_FOLDER:
#     tar xzf NAME.results.tar.gz && flipbench db merge NAME.results
# --proof with --experiment packs both into one archive, whose folder is proof/.
# --results DIR adds the finished cells of an earlier call, of a results folder or of NAME.results: a table that was cut is
# completed by the next call. Weights stay behind: a cell whose tuning is unfinished is left out, to be trained again.
# --build DIR packs the programs of an existing build folder instead of building build/cuda.
set -euo pipefail
usage() {
  echo "usage: tests/gpu/pack.sh [--experiment FILE [--profile NAME] [--set KEY=VALUE]… [--results DIR] [--proof]] [--build DIR] FILE.tar.gz" >&2
  exit 2
}
experiment='' profile=gpu build='' archive='' results='' with_proof='' settings=()
while [ $# -gt 0 ]; do
  case $1 in
  --experiment | --profile | --set | --results | --build) [ $# -ge 2 ] || usage ;;
  esac
  case $1 in
  --experiment) experiment=$(realpath -- "$2"); shift ;;
  --profile) profile=$2; shift ;;
  --set) settings+=(--set "$2"); shift ;;
  --build) build=$(realpath -- "$2"); shift ;;
  --results) results=$(realpath -- "$2"); shift ;;
  --proof) with_proof=1 ;;
  -*) usage ;;
  *) [ -z "$archive" ] || usage; archive=$(realpath -- "$1") ;;
  esac
  shift
done
[ -n "$archive" ] || usage
[ -z "$experiment" ] || [ -f "$experiment" ] || { echo "pack.sh: $experiment: no such file" >&2; exit 2; }
[ -n "$experiment" ] || [ -z "$results" ] || usage
[ -z "$results" ] || [ -d "$results" ] || { echo "pack.sh: $results: no such folder" >&2; exit 2; }
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

pack_proof() { # FOLDER
  local out=$1 library
  build_programs flip gpu_plugins gpu_calls test_ops test_step test_narrow
  mkdir -p "$out/bin" "$out/lib" "$out/tests"
  [ -e "$out/experiments" ] || mkdir "$out/experiments"
  cp "$build/bin/flip" "$out/bin/"
  pack_plugin "$out/lib"
  if [ -f "$build/lib/libflip_nccl.so" ]; then cp "$build/lib/libflip_nccl.so" "$out/lib/"; fi
  cp "$build/tests/gpu_calls" "$build/tests/test_ops" "$build/tests/test_step" "$build/tests/test_narrow" "$out/tests/"
  [ -e "$out/experiments/presets" ] || cp -r experiments/presets "$out/experiments/"
  cp -r tests/gpu tests/peers "$out/tests/"
  tests/gpu/kernels.sh --build "$out/lib" || true
  # of the programs, which may be older than the checkout
  "$build/bin/flip" --version | sed 's/.*(\([^,]*\),.*/\1/' >"$out/commit"
  for library in "$out"/lib/libflip_*.so; do [ ! -e "$library" ] || pack_libraries "$out/lib" "$library"; done
  pack_libraries "$out/lib" "$out/bin/flip" "$out"/tests/*_calls "$out"/tests/test_*
}

# Run folders of the experiment's finished cells, without weights and database. Parents of tunings that are not finished
# are left out: they are trained again, so that there are weights to start from.
finished() { # RUN_FOLDER
  [ -s "$1/attempts.jsonl" ] &&
    [ "$(grep -oE '"event":"(attempt_end|archive)"|"status":"[a-z]+"' "$1/attempts.jsonl" | tail -n 1)" = '"status":"finished"' ]
}
pack_results() { # FOLDER
  local name folder id parent run count=0
  local -A runs parents needed
  name=$(sed -n 's/^name: *\([^ #]*\).*/\1/p' "$experiment" | sed -n 1p)
  for folder in "$results/$name@$profile"*/; do # --set makes other names
    [ -e "$folder/experiment.json" ] || continue
    runs=() parents=() needed=()
    while read -r id parent; do
      parents[$id]=$parent
      for run in "$folder"*-"${id:0:8}" "$folder"*-"${id:0:8}".merged-*; do
        ! finished "$run" || runs[$id]=$run
      done
    done < <(grep -oE '"(id|parent)": ?(null|"[0-9a-f]{32}")' "$folder/experiment.json" | sed 's/.*: *//; s/"//g' | paste -d' ' - -)
    for id in "${!parents[@]}"; do
      parent=${parents[$id]}
      [ -n "${runs[$id]:-}" ] || while [ "${parent:-null}" != null ]; do
        needed[$parent]=1
        parent=${parents[$parent]:-}
      done
    done
    for id in "${!runs[@]}"; do
      [ -z "${needed[$id]:-}" ] || continue
      run=$1/results/$(basename "$folder")/$(basename "${runs[$id]%.merged-*}")
      mkdir -p "$run"
      find "${runs[$id]}" -maxdepth 1 -type f ! -name lock ! -name '.*' -exec cp {} "$run/" \;
      count=$((count + 1))
    done
  done
  echo "$count finished cells of $results are packed; parents of unfinished tunings are left out: they are trained again"
}

# The experiment keeps its path below the checkout, so that 'flipbench report NAME' finds its file here
# after the merge; a file from elsewhere is put into the archive's own folder.
pack_table() { # FOLDER
  local out=$1 path=${experiment#"$PWD"/}
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
  [ -z "$results" ] || pack_results "$out"
}

folder=proof
[ -z "$experiment" ] || [ -n "$with_proof" ] || folder=table
[ -z "$experiment" ] || pack_table "$work/$folder"
[ "$folder" = table ] || pack_proof "$work/$folder"
tar czf "$archive" -C "$work" "$folder"
du -h "$archive"
