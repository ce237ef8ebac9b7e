# Shared by the stories of several imitated GPUs, each a process.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/imitation.sh"
. "$SOURCE/tests/support/processes.sh"
# start N COMMAND…: N processes with the variables that torchrun sets, in the background: sets pids.
# Their calls are traced in $traces.RANK, where that is set.
start() {
  local n=$1 rank port=$((20000 + RANDOM % 20000))
  shift
  pids=()
  for ((rank = 0; rank < n; rank++)); do
    RANK=$rank LOCAL_RANK=$rank WORLD_SIZE=$n MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
      FLIP_IMITATION_TRACE=${traces:+$traces.$rank} FLIP_IMITATION_DEVICES=${devices:-4} FLIP_RENDEZVOUS_SECONDS=60 timeout 200 "$@" 2>>ranks.err &
    pids+=($!)
  done
}
# ranks N option…: flip train on N imitated GPUs.
ranks() {
  local n=$1
  shift
  start "$n" "$FLIP" train --config run.yaml --no-progress --set device=cuda "$@"
  finish
}
must_run() { rm -f ranks.err; "$@" || { cat ranks.err >&2; fail "$*"; }; no_misuse ranks.err; }
