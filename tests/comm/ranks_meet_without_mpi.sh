# Ranks started with torchrun's variables connect by TCP, without MPI: the same bits as under mpirun,
# and clear messages when they cannot connect.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/processes.sh"
export FLIP_PLUGINS=$PWD # no plugin at all
make_data
sed -i 's/^batch_size: 32/batch_size: 24/; s/^samples: 640/samples: 240/' run.yaml
ranks() {
  local n=$1
  shift
  rm -f err
  start "$n" "$FLIP" train --config run.yaml --no-progress --set threads=1 "$@"
  finish
}
# ranks that start far apart wait for the last, longer than the ten seconds after which a silent
# connection counts as broken; meanwhile the rest of this test runs
late() {
  sleep "$2"
  RANK=$1 WORLD_SIZE=3 MASTER_ADDR=localhost MASTER_PORT=$((port + 90)) timeout 60 "$BINARY/tests/mpi_calls" >/dev/null 2>"late$1"
}
apart=()
for when in 0:0 1:0 2:12; do late "${when%:*}" "${when#*:}" & apart+=($!); done
losses() { field step loss "$1/events.jsonl"; }

for n in 1 2 3; do
  [ $n = 1 ] || { start $n "$BINARY/tests/mpi_calls" >out.txt; finish || { cat err; fail "calls on $n ranks"; }; expect_line out.txt "^$n ranks, TCP"; }
done
train --out alone --set threads=1
for n in 2 3; do ranks $n --out "on$n" || { cat err; fail "on $n"; }; done
for n in 2 3; do
  paste <(losses alone) <(losses "on$n") | awk '{ if (NF != 2 || ($1 - $2)^2 > (1e-4 * $2)^2) exit 1 } END { if (NR != 10) exit 1 }' ||
    fail "losses on $n ranks differ from those of one process"
done
grep -q '"ranks":"TCP"' on2/events.jsonl || fail "the record does not say how ranks were connected"
ranks 2 --out again || fail again
cmp "$(newest on2)" "$(newest again)" || fail "two ranks twice: other bits"
# one rank of WORLD_SIZE=1 is a run alone
RANK=0 WORLD_SIZE=1 MASTER_ADDR=localhost MASTER_PORT=1 train --out single --set threads=1
cmp "$(newest alone)" "$(newest single)" || fail "WORLD_SIZE=1: other bits"
# MPI gives the same bits
if [ -e "$BINARY/lib/libflip_mpi.so" ] && command -v mpirun >/dev/null; then
  FLIP_PLUGINS=$BINARY/lib OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl=self,vader \
    OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1 \
    timeout 120 mpirun -np 2 "$FLIP" train --config run.yaml --no-progress --set threads=1 --out by_mpi || fail "mpirun"
  cmp "$(newest on2)" "$(newest by_mpi)" || fail "TCP and MPI give different bits"
fi

# refused PATTERN VARIABLE=value…: flip train ends at once, or after a second, with one line
refused() {
  local pattern=$1 got=0
  shift
  env FLIP_RENDEZVOUS_SECONDS=1 "$@" "$FLIP" train --config run.yaml --no-progress --out refused 2>err.txt || got=$?
  case $got in 1 | 2) ;; *) cat err.txt; fail "'$*' ended with $got" ;; esac
  [ "$(grep -c . err.txt)" = 1 ] || { cat err.txt; fail "more than a line"; }
  expect_line err.txt "$pattern"
}
refused 'WORLD_SIZE is set, but MASTER_PORT is not' RANK=0 WORLD_SIZE=2 MASTER_ADDR=localhost
refused 'WORLD_SIZE is set, but RANK is not' WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=$port
refused 'RANK is set, but WORLD_SIZE is not' RANK=1 MASTER_ADDR=localhost MASTER_PORT=$port
for time in soon 2x -1 0; do
  refused "FLIP_RENDEZVOUS_SECONDS=$time is not a time above 0" FLIP_RENDEZVOUS_SECONDS=$time RANK=1 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=$port
done
refused 'MASTER_ADDR is not: it names the machine of rank 0' RANK=0 WORLD_SIZE=2 MASTER_PORT=$port
refused 'RANK=2 is not a whole number from 0 to 1' RANK=2 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=$port
refused 'rank 1 could not reach rank 0 at localhost, port [0-9]+, within 1 s \(Connection refused\): check that MASTER_ADDR' \
  RANK=1 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=$((port + 50))
refused 'rank 1 could not reach rank 0 at no.such.host.invalid' RANK=1 WORLD_SIZE=2 MASTER_ADDR=no.such.host.invalid MASTER_PORT=$port
refused 'rank 0 waited 1 s on port [0-9]+, and 2 of 3 ranks did not connect \(1, 2\)' \
  RANK=0 WORLD_SIZE=3 MASTER_ADDR=localhost MASTER_PORT=$((port + 51))
# two processes with the same rank; another program on the port
start_one() { RANK=$1 WORLD_SIZE=$2 MASTER_ADDR=localhost MASTER_PORT=$3 FLIP_RENDEZVOUS_SECONDS=5 timeout 60 "$BINARY/tests/mpi_calls" >/dev/null 2>"err$4" & }
start_one 0 3 $((port + 52)) a
start_one 1 3 $((port + 52)) b
sleep 1
RANK=1 WORLD_SIZE=3 MASTER_ADDR=localhost MASTER_PORT=$((port + 52)) "$BINARY/tests/mpi_calls" 2>err && fail "two processes of rank 1"
expect_line err 'rejected rank 1: another process already has RANK=1'
SLURM_JOB_ID=7 RANK=2 WORLD_SIZE=4 MASTER_ADDR=localhost MASTER_PORT=$((port + 52)) "$BINARY/tests/mpi_calls" 2>err && fail "another Slurm job"
expect_line err 'rejected rank 2: it belongs to another run \(TORCHELASTIC_RUN_ID, SLURM_JOB_ID\)'
refused 'rank 0 cannot listen on port [0-9]+: another program uses it; choose another MASTER_PORT' \
  RANK=0 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=$((port + 52))
RANK=2 WORLD_SIZE=4 MASTER_ADDR=localhost MASTER_PORT=$((port + 52)) "$BINARY/tests/mpi_calls" 2>err && fail "another WORLD_SIZE"
expect_line err 'rejected rank 2: it was started with WORLD_SIZE=4, rank 0 with 3'
# a rank of this run with another number of ranks never becomes one of them: rank 0 does not wait for it
until [ -s erra ]; do sleep 0.1; done
expect_line erra 'rank 0 rejected rank 2: it was started with WORLD_SIZE=4, rank 0 with 3; start all ranks of a run with the same WORLD_SIZE'
until [ -s errb ]; do sleep 0.1; done
expect_line errb 'rank 1 of 3: the connection to rank 0 broke'
# what rank 0 refused is in its message
start_one 0 3 $((port + 53)) c
start_one 1 3 $((port + 53)) d
sleep 1
RANK=1 WORLD_SIZE=3 MASTER_ADDR=localhost MASTER_PORT=$((port + 53)) "$BINARY/tests/mpi_calls" 2>err && fail "two processes of rank 1"
until [ -s errc ]; do sleep 0.1; done
expect_line errc '1 of 3 ranks did not connect \(2\).*; rank 0 rejected rank 1: another process already has RANK=1'
for address in fe80::1 fe80::1%lo; do
  for rank in 0 1; do
    refused 'MASTER_ADDR=fe80::1(%lo)? is a link-local IPv6 address.*use another address' RANK=$rank WORLD_SIZE=2 MASTER_ADDR=$address MASTER_PORT=$port
  done
done
for rank in 0 1 2; do wait "${apart[rank]}" || { cat "late$rank"; fail "rank $rank of three that started 12 seconds apart"; }; done
wait

# a rank that is killed, or hangs, ends all of them soon, and is named once
sed -i 's/^samples: 240/samples: 240000/' run.yaml
ends_all() {
  local err=err-$1
  start 3 "$FLIP" train --config run.yaml --no-progress --set threads=1 --out "$1"
  until [ -s "$1/events.jsonl" ] && grep -q '"event":"step"' "$1/events.jsonl"; do sleep 0.02; done
  local victim begun=$SECONDS
  victim=$(pgrep -P "${pids[$2]}")
  kill "-$3" "$victim"
  finish && fail "a rank was sent $3 and the run succeeded"
  [ $((SECONDS - begun)) -le 12 ] || fail "$((SECONDS - begun)) seconds after $3 others still ran"
  [ "$(grep -c "flip: error: rank $2 of 3 (host .*, process $victim) $4" "$err")" = 1 ] || { cat "$err"; fail "$3: not named once"; }
  [ "$(grep -c 'flip: error' "$err")" = 1 ] || { cat "$err"; fail "$3: more than one message"; }
  ! kill -0 "$victim" 2>/dev/null || fail "the process that was sent $3 is still running"
}
# a stopped process does not end by itself: the others end it; rank 0 perhaps a moment before the one that
# reports counts six seconds
cases=()
for case in 'killed 2 KILL has ended' 'killed0 0 KILL has ended' 'hung 1 STOP has not answered for [67] seconds' \
  'hung0 0 STOP has not answered for [4-7] seconds'; do
  port=$((port + 10))
  read -r name rank signal message <<<"$case"
  (ends_all "$name" "$rank" "$signal" "$message") & cases+=($!)
done
for case in "${cases[@]}"; do wait "$case" || fail "a rank that is lost"; done
