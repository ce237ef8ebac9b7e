# Shared by the stories that start several processes in the background: their numbers are in pids.
pids=()
# Waits until all of them have ended; the worst status.
finish() {
  local worst=0 code pid
  for pid in "${pids[@]}"; do
    code=0
    wait "$pid" || code=$?
    [ $code -le $worst ] || worst=$code
  done
  return $worst
}
