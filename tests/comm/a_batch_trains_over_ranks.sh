# Several ranks of MPI train what one process trains: the same samples, losses equal within rounding,
# the same bits for the same number of ranks, checkpoints that any number of ranks can resume from. A
# failure of one rank ends all.
command -v mpirun >/dev/null || { echo "skipped: no mpirun (apt install openmpi-bin)"; exit 77; }
. "$SOURCE/tests/support/training.sh"
export FLIP_PLUGINS=$BINARY/lib OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl=self,vader OMPI_MCA_mpi_yield_when_idle=1
make_data
sed -i 's/^batch_size: 32/batch_size: 24/; s/^samples: 640/samples: 960/' run.yaml
ranks() { local n=$1; shift; timeout 120 mpirun -np "$n" "$FLIP" train --config run.yaml --no-progress --set threads=1 "$@"; }
# In the background: sets pid, of mpirun, which forwards SIGUSR1 to every rank.
ranks_behind() { local n=$1; shift; mpirun -np "$n" "$FLIP" train --config run.yaml --no-progress --set threads=1 "$@" & pid=$!; }
losses() { field step loss "$1/events.jsonl"; }
# near A B: the same number of losses, equal within rounding.
near() {
  paste <(losses "$1") <(losses "$2") | awk '{ if (NF != 2 || ($1 - $2)^2 > (1e-4 * $2)^2) exit 1 } END { if (NR < 2) exit 1 }'
}

for n in 2 3; do mpirun -np $n "$BINARY/tests/mpi_calls" >/dev/null || fail "calls on $n ranks"; done

train --out alone --set threads=1 || fail "alone"
for n in 2 4; do
  ranks $n --out "on$n" 2>err || { cat err; fail "on $n ranks"; }
  near alone "on$n" || fail "losses on $n ranks differ from those of one process"
done
grep -q '"ranks":4' on4/events.jsonl || fail "the start event does not say on how many ranks"
ranks 4 --out again || fail "again"
cmp "$(newest on4)" "$(newest again)" || fail "four ranks twice: other bits"

# with the gradient cache, on every rank
train --out cached --set threads=1 --set micro_batch_size=4 || fail "cached"
ranks 3 --out cached3 --set micro_batch_size=4 || fail "cached on 3"
near cached cached3 || fail "losses with the gradient cache differ"
near alone cached3 || fail "losses with the gradient cache are not those without"

# stopped on four ranks, resumed on three and ended by one process
sed -i 's/^samples: 960/samples: 4800/' run.yaml
train --out long --set threads=1 || fail "long"
ranks_behind 4 --out moved 2>err
until [ -s moved/events.jsonl ] && [ "$(grep -c '"event":"step"' moved/events.jsonl)" -ge 3 ]; do sleep 0.02; done
kill -USR1 $pid
wait $pid && fail "a stopped run ends with 0"
grep -q '"status":"interrupted"' moved/events.jsonl || { cat err; fail "the stop is not recorded"; }
[ "$(grep -c 'stopped after step' err)" = 1 ] || { cat err; fail "the stop is not reported exactly once"; }
ranks_behind 3 --out moved --resume 2>err
until [ "$(grep -c '"event":"start"' moved/events.jsonl)" = 2 ] && tail -1 moved/events.jsonl | grep -q '"event":"step"'; do sleep 0.02; done
kill -USR1 $pid
wait $pid && fail "the resumed run ended before it was stopped"
train --out moved --set threads=1 --resume || fail "resuming with one process"
near long moved || fail "losses after moving from 4 to 3 to 1 ranks"

# an error on all ranks is reported once; an error on one ends all, naming it
ranks 5 --out five 2>err && fail "24 samples over 5 ranks"
[ "$(grep -c 'batch_size: 24 is not divisible by 5 ranks' err)" = 1 ] || { cat err; fail "not reported exactly once"; }
FLIP_PLUGINS=$PWD ranks 2 --out none 2>err && fail "without the plugin"
grep -q 'libflip_mpi.so is missing. Install MPI (apt install libopenmpi-dev openmpi-bin)' err || { cat err; fail "the missing plugin is not named"; }

# started by the launcher of another MPI, whose variables are set: ours would connect each process with itself
PMI_SIZE=2 "$FLIP" train --config run.yaml --no-progress --out foreign 2>err && fail "ranks that are not connected"
grep -q 'the launcher started 2 ranks, but MPI (.*) connects this process with 1: use the mpirun' err || { cat err; fail "a foreign launcher is not named"; }
[ ! -e foreign ] || fail "a rank that is not connected began a run"

# a rank that is killed, or hangs, ends all of them soon, and is named
ends_all() {
  ranks_behind 3 --out "$1" 2>err
  until [ -s "$1/events.jsonl" ] && grep -q '"event":"step"' "$1/events.jsonl"; do sleep 0.02; done
  victim=$(pgrep -P $pid | sed -n "$2p")
  local start=$SECONDS
  kill "-$3" "$victim"
  wait $pid && fail "a rank was sent $3 and the run succeeded"
  [ $((SECONDS - start)) -le 12 ] || fail "$((SECONDS - start)) seconds after a rank was sent $3 others still ran"
  [ "$(grep -c "flip: error: rank [0-2] of 3 (host .*, process $victim) $4" err)" = 1 ] || { cat err; fail "$3: not named once"; }
}
ends_all killed 3 KILL 'has ended'
ends_all killed0 1 KILL 'has ended'
ends_all hung 2 STOP 'has not answered for [67] seconds'
