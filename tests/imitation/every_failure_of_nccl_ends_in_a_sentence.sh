# Any call of NCCL may fail at any time, on any rank: all ranks end, and one of them reports it. A rank
# that is killed or hangs ends the others, by name.
. "$SOURCE/tests/imitation/ranks_on_gpus.sh"
make_data
tiny=(--set batch_size=8 --set samples=32 --set eval.sets= --set precision=fp32)
must_run ranks 2 --out chosen "${tiny[@]}" # the runs below recall its choices

# fails RANKS CALL NUMBER…
fails() {
  local n=$1 call=$2 number
  shift 2
  for number in "$@"; do
    echo "$call:$number on $n"
    rm -rf failed ranks.err
    if [ "$n" = 1 ]; then
      FLIP_COMM=nccl FLIP_IMITATION_FAIL=$call:$number train --out failed --set device=cuda "${tiny[@]}" 2>ranks.err && fail "$call:$number: it succeeded"
    else
      FLIP_IMITATION_FAIL=$call:$number ranks "$n" --out failed "${tiny[@]}" && fail "$call:$number: it succeeded"
    fi
    expect_line ranks.err '^flip: error: .*(NCCL|CUDA|GPU memory)'
    no_misuse ranks.err
  done
}
fails 1 ncclGetUniqueId 1
fails 1 ncclCommInitRankConfig 1
fails 1 ncclCommGetAsyncError 1
fails 1 cudaStreamCreateWithPriority 1
fails 1 ncclAllGather 1
fails 2 ncclCommInitRankConfig 1
fails 2 ncclAllGather 1 3
fails 2 ncclGroupEnd 1 6
fails 2 ncclSend 1
fails 2 ncclRecv 2

# A call that fails after steps were recorded: aborting the communicator waits for the recordings then.
short=("${tiny[@]}")
tiny+=(--set samples=64 --set optimizer.shard=true)
traces=$PWD/calls must_run ranks 2 --out counted "${tiny[@]}"
awk '/cudaGraphInstantiate/ { recorded = 1 } recorded && /ncclBroadcast/ { n++ } END { exit n < 2 }' calls.0 || fail "no call after a recording"
fails 2 ncclBroadcast "$(grep -c ncclBroadcast calls.0)"
tiny=("${short[@]}")

# ends_all OUT WHICH SIGNAL PATTERN
ends_all() {
  local begun=$SECONDS
  rm -f ranks.err
  start 3 "$FLIP" train --config run.yaml --no-progress --set device=cuda "${tiny[@]}" --set samples=48000 --out "$1"
  until [ -s "$1/events.jsonl" ] && grep -q '"event":"step"' "$1/events.jsonl"; do
    [ $((SECONDS - begun)) -lt 100 ] || fail "$1: no step"
    sleep 0.05
  done
  local victim start_of_end=$SECONDS
  victim=$(pgrep -P "${pids[$2]}")
  kill "-$3" "$victim"
  finish && fail "a rank was sent $3 and the run succeeded"
  [ $((SECONDS - start_of_end)) -le 14 ] || fail "$((SECONDS - start_of_end)) seconds after $3 others still ran"
  [ "$(grep -c "flip: error: rank $2 of 3 (host .*, process $victim) $4" ranks.err)" = 1 ] || { cat ranks.err; fail "$3: not named once"; }
  [ "$(grep -c 'flip: error' ranks.err)" = 1 ] || { cat ranks.err; fail "$3: more than one message"; }
}
sed -i 's/batch_size: 32/batch_size: 9/' run.yaml
tiny=(--set batch_size=9 --set eval.sets= --set precision=fp32)
ends_all killed 2 KILL 'has ended'
FLIP_IMITATION_NCCL=notices ends_all killed0 0 KILL 'has ended'
ends_all hung 1 STOP 'has not answered for [67] seconds'
