# Ranks on machines with file systems of their own: here two folders. A run whose ranks have other data or other
# settings, or would continue at other steps, ends before its first step, and says on which rank.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/processes.sh"
export FLIP_PLUGINS=$PWD
make_data
sed -i 's/^samples: 640/samples: 96/; s/^eval:.*/eval.points: 1/' run.yaml
mkdir rank0 rank1
for rank in 0 1; do cp -r data vocab.txt run.yaml rank$rank; done
# ranks option…: two, each in its folder, with RANK for its own options
ranks() {
  rm -f err
  start 2 bash -c 'cd "rank$RANK" && eval "exec \"\$FLIP\" train --config run.yaml --no-progress --out run $0"' "$*"
  finish
}
refused() {
  local pattern=$1
  shift
  ! ranks "$@" || fail "started: $*"
  [ "$(grep -c . err)" = 1 ] || { cat err; fail "not one line"; }
  expect_line err "$pattern"
  ! grep -q '"event":"step"' rank0/run/events.jsonl || fail "a step was taken: $*"
  rm -r rank?/run
}
refused 'rank 1 has other settings than rank 0 \(fingerprint [0-9a-f]{12}…, rank 0: [0-9a-f]{12}…\): start all ranks' --set 'seed=$RANK'
refused 'rank 1 has other settings than rank 0' --set 'comm.bucket_bytes=$((8192 + RANK))'
# One rank alone finds its settings wrong, or its network: no other waits for it.
refused 'data.resample: true draws from all samples' --set 'data.order=$([ $RANK = 0 ] && echo exact || echo stream)' --set 'data.resample=$([ $RANK = 0 ] && echo false || echo true)'
one_with() { # one_with VARIABLE=VALUE: on rank 1 only
  rm -f err
  start 2 bash -c 'cd "rank$RANK"; [ $RANK = 0 ] || export "$0"; exec "$FLIP" train --config run.yaml --no-progress --out run' "$1"
  ! finish || fail "started with $1 on one rank"
  rm -r rank?/run
}
one_with FLIP_COMM=nccl
expect_line err 'FLIP_COMM=nccl connects GPUs, and this run computes on the CPU'
# Weights that each rank updates with other kernels would not stay equal.
best=$("$FLIP" bench ops -n 1 -s batch_size=2 | sed -n 's/.*kernels: //p')
if [ "$(uname -m)" = x86_64 ] && [ "$best" != x86-64-v2 ]; then
  one_with FLIP_CPU_KERNELS=x86-64-v2
  expect_line err "rank 1 has the kernels x86-64-v2, rank 0 $best, .*: set FLIP_CPU_KERNELS"
fi
rm rank1/data/train-*
(cd rank1 && "$FLIP" data scenes --out data --count 120 --seed 1 --split train --size 24 --no-progress > /dev/null)
refused 'rank 1 has other training data than rank 0 \(fingerprint .*; 120 training samples, rank 0: 160\): every rank needs' --set threads=1
cp data/train-* rank1/data
echo '[unused]' >> rank1/vocab.txt
refused 'rank 1 has another text.vocabulary than rank 0' --set threads=1
cp vocab.txt rank1

# What concerns one machine only may differ. A checkpoint must be within the reach of all.
ranks --set 'threads=$((1 + RANK))' --set 'data.workers=$((1 + RANK))' || { cat err; fail "ranks with other numbers of threads"; }
! ranks --set 'threads=$((1 + RANK))' --set samples=96 --resume || fail "resumed without the checkpoint"
expect_line err 'rank 1 would continue at step 0, rank 0 at step 3: --resume needs --out on a file system that all ranks read'
# A rank may lack what only says that the last evaluation is done.
mkdir -p rank1/run/checkpoints
cp rank0/run/checkpoints/*.safetensors rank1/run/checkpoints
ranks --set threads=1 --resume || { cat err; fail "not resumed without the state file of a rank"; }
