# A launcher that does not end with its ranks is killed by flipbench: the attempt is judged by the ranks.
. "$SOURCE/tests/support/sweep.sh"
mkdir bin
cat > bin/mpirun <<'W'
#!/bin/sh
# starts the ranks as Open MPI does, and waits for a machine that does not answer
while [ "$1" != -np ]; do shift; done
size=$2 rank=0
shift 2
while [ $rank -lt "$size" ]; do
  OMPI_COMM_WORLD_RANK=$rank OMPI_COMM_WORLD_SIZE=$size "$@" &
  rank=$((rank + 1))
done
exec sleep 300
W
chmod +x bin/mpirun
export PATH=$PWD/bin:$PATH
cat > experiments/two.yaml <<'Y'
name: two
settings: {samples: 2k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar}
requires: {ranks: 2}
limits: {retries: 1, retry_wait: 100ms}
report: {columns: [samples_per_second], plots: []}
Y
FAKE_REFUSE=mask_ratio=0 expect_status 1 bench run experiments/two.yaml --no-progress
expect_answer "SELECT kind, signal, exit_code FROM attempt" 'input|0|2'
expect_answer "SELECT kind FROM run" input
