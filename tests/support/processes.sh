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
