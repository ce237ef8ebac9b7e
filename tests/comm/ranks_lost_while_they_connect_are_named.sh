# A rank that dies, or whose process is stopped, while others are still awaited: at once, or when it should have
# answered, one message names it, and no firewall is blamed.
. "$SOURCE/tests/support/processes.sh"
export FLIP_PLUGINS=$PWD # no plugin at all
rank() { # RANK SECONDS
  RANK=$1 WORLD_SIZE=3 MASTER_ADDR=localhost MASTER_PORT=$port FLIP_RENDEZVOUS_SECONDS=$2 exec "$BINARY/tests/mpi_calls" > /dev/null 2> "err$1"
}
connected() { # of rank 1: to rank 0's port
  local hex
  hex=$(printf ':%04X' "$port")
  cat /proc/net/tcp /proc/net/tcp6 2> /dev/null | awk -v p="$hex" '$3 ~ p "$" && $4 == "01"' | grep -q .
}

rank 0 60 & zero=$!
rank 1 60 & one=$!
until connected; do sleep 0.05; done
sleep 0.5
begun=$SECONDS
kill -KILL $one
wait $zero && fail 'rank 0 succeeded'
[ $((SECONDS - begun)) -le 5 ] || fail "rank 0 ended $((SECONDS - begun)) seconds after rank 1"
expect_line err0 'rank 1 of 3 ended while the ranks connected'
wait $one || true

# Rank 0 is stopped after it has accepted rank 1.
port=$((port + 1))
rank 0 2 & zero=$!
rank 1 2 & one=$!
until connected; do sleep 0.05; done
sleep 0.5
kill -STOP $zero
wait $one && fail 'rank 1 succeeded'
expect_line err1 'rank 1 of 3: rank 0 has not answered for 12 s while the ranks connected'
kill -KILL $zero
wait $zero || true
