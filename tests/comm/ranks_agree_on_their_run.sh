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
