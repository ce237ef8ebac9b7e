#!/bin/busybox sh
# shellcheck shell=dash
# The first process of the emulated machine that run.sh boots: runs the stages named on the kernel's
# command line (stages=a,b), prints `stage NAME: exit STATUS` after each, then powers off.
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp OMP_NUM_THREADS=2 GOMP_SPINCOUNT=0
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev; mount -t tmpfs none /tmp

# What oneDNN's verbose lines in /tmp/log say: the instruction set, then how many products by which implementation.
implementations() {
  grep '^onednn_verbose,info,cpu,isa' /tmp/log
  grep '^onednn_verbose,exec,cpu' /tmp/log | cut -d, -f4,5 | sort | uniq -c
}
# The tests of the ops in a variant.
ops() { # KERNELS PRECISION
  FLIP_CPU_KERNELS=$1 ONEDNN_VERBOSE=1 test_ops "$2" >/tmp/log 2>&1
  status=$?
  grep -v -e '^onednn_verbose' -e '\[ RUN' -e '\[       OK' /tmp/log
  implementations
  return $status
}
# Four steps of a tiny model, with all digits of its losses.
losses() { # KERNELS PRECISION
  rm -rf /tmp/run
  (cd /data && FLIP_CPU_KERNELS=$1 ONEDNN_VERBOSE=1 flip train --config run.yaml --no-progress -s "precision=$2" --out /tmp/run >/tmp/log 2>&1) ||
    { cat /tmp/log; return 1; }
  grep '"event":"start"' /tmp/run/events.jsonl | grep -oE '"(cpu_kernels|onednn_isa)":"[^"]*"'
  grep '"event":"step"' /tmp/run/events.jsonl | grep -oE '"(loss|grad_norm)":[^,]*'
  implementations
}

run_stage() {
  case $1 in
  cpu) grep -m1 'model name' /proc/cpuinfo; grep -m1 flags /proc/cpuinfo | tr ' ' '\n' | grep -E '^(avx|amx|fma|sse4|xsave)' | tr '\n' ' '; echo ;;
  ops:*) kind=${1#ops:}; ops "${kind%:*}" "${kind#*:}" ;;
  limited:*) kind=${1#limited:}; ONEDNN_MAX_CPU_ISA=AVX2 losses "${kind%:*}" "${kind#*:}" ;;
  bench:*) flip bench ops -n 1 -s threads=1 -s batch_size=2 -s "precision=${1#bench:}" ;;
  train:*) kind=${1#train:}; losses "${kind%:*}" "${kind#*:}" ;;
  *) echo "no stage $1"; return 2 ;;
  esac
}

stages=$(sed 's/.*stages=\([^ ]*\).*/\1/; s/,/ /g' /proc/cmdline)
for stage in $stages; do
  run_stage "$stage"
  echo "stage $stage: exit $?"
done
echo "all stages have run"
sleep 5 # the serial port sends what it has buffered
poweroff -f
