# Each rank of a cell is killed, or stopped, at random instants, over MPI and over TCP: all of its ranks
# end within ten seconds, one message names the lost one, and the cell is retried from its checkpoint on
# fewer ranks. Two rounds run at once. SEED and ROUNDS set the random tests.
. "$SOURCE/tests/support/ranks.sh"
SEED=${SEED:-$RANDOM} ROUNDS=${ROUNDS:-3}
echo "SEED=$SEED ROUNDS=$ROUNDS"
RANDOM=$SEED
export REAL_FLIP=$FLIP
cat > lost.yaml <<'Y'
name: lost
base: run.yaml
settings: {samples: 24k, log_every: 5}
requires: {ranks: 3}
limits: {retries: 3, retry_wait: 100ms, fewest_ranks: 1}
report: {columns: [samples_per_second, final_loss], plots: []}
Y
# The processes that mpirun starts connect by torchrun's variables, without MPI.
cat > over_tcp <<W
#!/bin/sh
unset FLIP_PLUGINS
[ -z "\$OMPI_COMM_WORLD_SIZE" ] || export RANK=\$OMPI_COMM_WORLD_RANK WORLD_SIZE=\$OMPI_COMM_WORLD_SIZE MASTER_ADDR=127.0.0.1 MASTER_PORT=$((20000 + RANDOM % 20000))
exec "$FLIP" "\$@"
W
chmod +x over_tcp
# round NAME SIGNAL RANK SECONDS SAMPLES [TRAINER]: sends the rank the signal SECONDS after the first
# checkpoint. A round of few samples runs to the end.
round() {
  local n=$1 signal=$2 victim=$3 wait=$4 samples=$5 results=round-$1 record message
  export FLIP=${6:-$FLIP}
  folder() { echo "$results"/lost/lost-*; }
  trains_again() { [ "$(grep -c '"event":"start"' "$(folder)"/events.jsonl)" -ge 2 ] && tail -1 "$(folder)"/events.jsonl | grep -q '"event":"step"'; }
  "$FLIPBENCH" run lost.yaml --no-progress --results "$results" -s "samples=$samples" > "$results.txt" 2>&1 & sweep=$!
  await 60 eval '[ -n "$(ls "$(folder)"/checkpoints/*.safetensors 2>/dev/null)" ]' || { cat "$results.txt"; fail "round $n: no checkpoint in a minute"; }
  sleep "$wait"
  pid=$(rank_pid "$(folder)" "$victim")
  [ -n "$pid" ] || fail "round $n: rank $victim has no process"
  local trainers=$(pgrep -f "^$REAL_FLIP train .*--out $(folder)") all=$(living "$(folder)") start=$SECONDS
  [ "$(echo "$trainers" | wc -w)" = 3 ] || fail "round $n: not three ranks: $trainers"
  kill "-$signal" "$pid" || fail "round $n: rank $victim had ended: a longer run is needed"
  gone() { local p; for p in $1; do ! kill -0 "$p" 2> /dev/null || return 1; done; }
  await 30 gone "$trainers" || true
  local took=$((SECONDS - start))
  [ $took -le 10 ] || fail "round $n: $took seconds after SIG$signal of rank $victim others still ran"
  await 8 gone "$all" || fail "round $n: mpirun is still running eight seconds after its ranks"
  if [ "$samples" -gt 100000 ]; then
    await 60 trains_again || { cat "$results.txt"; fail "round $n: it does not continue"; }
    kill -INT $sweep
    wait $sweep || [ $? = 130 ] || fail "round $n: the sweep cannot be stopped"
  else
    wait $sweep || { cat "$results.txt"; fail "round $n: the sweep failed"; }
    DB=$results/flipbench.db expect_answer "SELECT status, (SELECT sum(steps) FROM step) FROM run" "finished|$((samples / 24))"
    DB=$results/flipbench.db expect_answer "SELECT count(*) FROM summary WHERE name = 'steady_seconds'" 0
    "$FLIPBENCH" report lost --results "$results" > "report-$n.txt"
    grep -q 'its steps were trained on different numbers of ranks' "report-$n.txt" || { cat "report-$n.txt"; fail 'the missing speed is not explained'; }
  fi
  record=$(grep '"attempt_end".*"attempt":1,' "$(folder)"/attempts.jsonl)
  message=$(echo "$record" | grep -o '"message":"[^"]*"')
  echo "round $n: SIG$signal to rank $victim $wait s after a checkpoint: $took s: $message"
  case $message in *"rank $victim of 3 (host $(hostname), process $pid)"*) ;; *) cat "$results.txt" "$(folder)"/log.txt; fail "round $n: the message names another rank" ;; esac
  # rank 0 may be killed by another rank a moment before the one that reports counts six seconds
  local seconds='[67]'; [ "$victim" != 0 ] || seconds='[4-7]'
  [ $signal = KILL ] || case $message in *'has not answered for '$seconds' seconds"') ;; *) fail "round $n: another reason than its silence" ;; esac
  echo "$record" | grep -q '"kind":"rank"' || fail "round $n: another kind of failure: $record"
  grep -q '"why":"retry 1 of 3 after rank: .*; on 2 ranks instead of 3"' "$(folder)"/attempts.jsonl || { cat "$(folder)"/attempts.jsonl; fail "round $n: the record does not say why fewer"; }
  DB=$results/flipbench.db expect_answer "SELECT group_concat(coalesce(ranks, 1), ' ') FROM attempt" '3 2'
  none_live "$(folder)" || fail "round $n: ranks are left"
  [ -z "${6:-}" ] || grep -q '"ranks":"TCP"' "$(folder)"/events.jsonl || fail "round $n: not over TCP"
}
rounds=() done=0
# Runs a round in the background, two at a time.
begin() {
  [ $((${#rounds[@]} - done)) -lt 2 ] || finish_one
  (trap 'kill -INT $(jobs -p) 2>/dev/null || true' EXIT; round "$@") & rounds+=($!)
}
finish_one() {
  wait "${rounds[done]}" || fail "a round: SEED=$SEED ROUNDS=$ROUNDS repeats it"
  done=$((done + 1))
}
soon() { echo "0.$((RANDOM % 10))$((RANDOM % 10))"; }
begin tcp STOP $((RANDOM % 3)) "$(soon)" 480000 "$PWD/over_tcp"
for ((n = 1; n <= ROUNDS; n++)); do
  signal=KILL samples=480000
  [ $((n % 3)) = 0 ] && signal=STOP
  [ "$n" = "$ROUNDS" ] && samples=48000
  begin $n $signal $(((n - 1 + (n - 1) / 3) % 3)) "$(soon)" $samples
done
while [ $done -lt ${#rounds[@]} ]; do finish_one; done
