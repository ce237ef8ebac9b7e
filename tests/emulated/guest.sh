#!/bin/busybox sh
# shellcheck shell=dash
# Runs the stages of run.sh (there are their names) and prints `stage NAME: exit STATUS` after each. In the emulated
# machine it is the first process: the stages are on the kernel's command line (stages=a,b), and it powers off at the end.
# Elsewhere they are the arguments, for comparison: flip and test_ops from PATH, DATA the folder of the data set, which
# training.sh's make_data has made.
export OMP_NUM_THREADS=2
stages=$*
if [ $$ -eq 1 ]; then
  /bin/busybox mkdir -p /proc /sys /dev /tmp
  /bin/busybox --install -s /bin
  export PATH=/bin HOME=/tmp TMPDIR=/tmp DATA=/data GOMP_SPINCOUNT=0
  mount -t proc none /proc && mount -t sysfs none /sys && mount -t devtmpfs none /dev && mount -t tmpfs none /tmp
  stages=$(sed 's/.*stages=\([^ ]*\).*/\1/; s/,/ /g' /proc/cmdline)
fi
work=$(mktemp -d)

# What oneDNN's verbose lines say: its instruction set, then how many products by which implementation.
implementations() {
  grep '^onednn_verbose,info,cpu,isa' "$work/log"
  grep '^onednn_verbose,exec,cpu' "$work/log" | cut -d, -f4,5 | sort | uniq -c
}

ops() { # KERNELS PRECISION
  FLIP_CPU_KERNELS=$1 ONEDNN_VERBOSE=1 test_ops "$2" >"$work/log" 2>&1
  status=$?
  grep -v -e '^onednn_verbose' -e '\[ RUN' -e '\[       OK' "$work/log"
  implementations
  return $status
}

# Four steps of a tiny model: the losses with all their digits.
train() { # KERNELS PRECISION
  rm -rf "$work/run"
  (cd "$DATA" && FLIP_CPU_KERNELS=$1 ONEDNN_VERBOSE=1 flip train --config run.yaml --no-progress --out "$work/run" \
    -s "precision=$2" -s batch_size=16 -s samples=64 -s warmup_samples=16 -s eval.sets=[] >"$work/log" 2>&1) ||
    { grep -v '^onednn_verbose' "$work/log"; return 1; }
  grep '"event":"start"' "$work/run/events.jsonl" | grep -oE '"(cpu_kernels|onednn_isa)":"[^"]*"'
  grep '"event":"step"' "$work/run/events.jsonl" | grep -oE '"(loss|grad_norm)":[^,]*'
  implementations
}

run_stage() {
  kind=${1#*:}
  case $1 in
  cpu) grep -m1 'model name' /proc/cpuinfo; grep -m1 flags /proc/cpuinfo | tr ' ' '\n' | grep -E '^(avx|amx|fma|sse4)' | tr '\n' ' '; echo ;;
  ops:*) ops "${kind%:*}" "${kind#*:}" ;;
  train:*) train "${kind%:*}" "${kind#*:}" ;;
  limited:*) (export ONEDNN_MAX_CPU_ISA=AVX2; train "${kind%:*}" "${kind#*:}") ;;
  bench:*) flip bench ops -n 1 -s threads=1 -s batch_size=2 -s "precision=$kind" ;;
  *) echo "no stage $1"; return 2 ;;
  esac
}

for stage in $stages; do
  run_stage "$stage"
  echo "stage $stage: exit $?"
done
rm -rf "$work"
echo "all stages have run"
if [ $$ -eq 1 ]; then
  sleep 5 # the serial port sends what it has buffered
  poweroff -f
fi
