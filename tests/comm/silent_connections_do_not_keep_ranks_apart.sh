# Connections to rank 0 that say nothing, as a port scanner's or a monitor's, arrive before those of the other ranks:
# the ranks meet all the same.
. "$SOURCE/tests/support/processes.sh"
export FLIP_PLUGINS=$PWD # no plugin at all
rank() { RANK=$1 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=$port FLIP_RENDEZVOUS_SECONDS=60 timeout 100 "$BINARY/tests/mpi_calls" > "out$1" 2> "err$1"; }
rank 0 & pids=($!)
silent=()
while [ ${#silent[@]} -lt 3 ]; do
  if { exec {fd}<>"/dev/tcp/localhost/$port"; } 2> refused.txt; then silent+=("$fd"); else sleep 0.05; fi
  kill -0 "${pids[0]}" 2> /dev/null || { cat err0; fail 'rank 0 ended'; }
done
rank 1 & pids+=($!)
finish || { cat err0 err1; fail 'two ranks, and three connections that say nothing'; }
expect_line out0 '^2 ranks, TCP'
