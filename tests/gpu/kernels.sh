#!/usr/bin/env bash
# The kernels of a training step: runs `flip bench step …` under trace_kernels.c, or under nsys where CUPTI is missing,
# and prints each kernel's time.
#   usage: tests/gpu/kernels.sh LIB_FOLDER COMMAND…
#          tests/gpu/kernels.sh --check LIB_FOLDER     prints why it cannot be done here, or nothing
#          tests/gpu/kernels.sh --build LIB_FOLDER     builds the library, if CUPTI's header is on this machine
set -uo pipefail
[ $# -ge 2 ] || { sed -n '4,6s/^# *//p' "$0" >&2; exit 2; }
cd "$(dirname "$0")/../.." || exit 2
toolkit=${CUDA_HOME:-/usr/local/cuda}
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}:$toolkit/lib64:$toolkit/lib:$toolkit/extras/CUPTI/lib64

library() { [ -e "$1/libtrace_kernels.so" ] && ! ldd "$1/libtrace_kernels.so" | grep -q 'not found'; }
case $1 in
--build)
  for include in "$toolkit/include" "$toolkit/extras/CUPTI/include"; do
    [ -e "$include/cupti.h" ] || continue
    cc -std=gnu17 -O2 -Wall -Wextra -Werror -shared -fPIC -isystem "$toolkit/include" -isystem "$include" \
      tests/gpu/trace_kernels.c -L"$toolkit/lib64" -L"$toolkit/lib" -L"$toolkit/extras/CUPTI/lib64" -lcupti \
      -o "$2/libtrace_kernels.so"
    exit
  done
  echo "kernels.sh: $toolkit has no cupti.h: kernels can only be listed where nsys is installed" >&2
  exit 1 ;;
--check)
  if [ ! -e /dev/nvidiactl ] && ! ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1'; then
    echo "there is no NVIDIA driver whose kernels could be traced"
  elif ! library "$2" && ! command -v nsys >/dev/null; then
    echo "neither CUPTI's library nor nsys is on the machine"
  fi
  exit 0 ;;
esac

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
lib=$1
shift
if library "$lib"; then
  CUDA_INJECTION64_PATH=$lib/libtrace_kernels.so KERNEL_TRACE=$folder/trace "$@" >"$folder/out.txt" ||
    { code=$?; cat "$folder/out.txt"; exit $code; }
  [ -s "$folder/trace" ] || { echo "the driver has not loaded $lib/libtrace_kernels.so" >&2; exit 1; }
  python3 tests/gpu/kernel_table.py "$folder/trace"
else
  nsys profile --trace=cuda --cuda-graph-trace=node --output "$folder/trace" "$@" >"$folder/out.txt" ||
    { code=$?; cat "$folder/out.txt"; exit $code; }
  echo "of all steps and of choosing:"
  nsys stats --report cuda_gpu_kern_sum "$folder/trace.nsys-rep" | sed -n 1,60p
fi
