# Shared by tests that start several processes in the background: their ids are in pids.
pids=()
# Waits until all of them have ended; returns the highest status.
finish() {
  local worst=0 code pid
  for pid in "${pids[@]}"; do
    code=0
    wait "$pid" || code=$?
    [ $code -le $worst ] || worst=$code
  done
  return $worst
}
# start N COMMAND…: N ranks that connect by TCP, each at a new port; sets pids. Their errors go to $err, or err.
port=$((20000 + RANDOM % 20000))
start() {
  local n=$1 rank
  shift
  pids=()
  port=$((port + 1))
  for ((rank = 0; rank < n; rank++)); do
    RANK=$rank WORLD_SIZE=$n MASTER_ADDR=localhost MASTER_PORT=$port timeout 120 "$@" 2>>"${err:-err}" &
    pids+=($!)
  done
}
