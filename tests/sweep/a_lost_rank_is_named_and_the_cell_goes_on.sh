# Each rank of a cell is killed, or stopped, at random instants: all of its ranks end within ten
# seconds, one message names the lost one, and the cell is retried from its checkpoint on fewer ranks.
# SEED and ROUNDS choose what is tried.
. "$SOURCE/tests/support/ranks.sh"
SEED=${SEED:-$RANDOM} ROUNDS=${ROUNDS:-6}
echo "SEED=$SEED ROUNDS=$ROUNDS"
RANDOM=$SEED
cat > lost.yaml <<'Y'
name: lost
base: run.yaml
settings: {samples: 24k, log_every: 5}
requires: {ranks: 3}
limits: {retries: 3, retry_wait: 100ms, fewest_ranks: 1}
report: {columns: [final_loss], plots: []}
Y
round() {
  local n=$1 signal=$2 victim=$3 wait=$4 folder results=round$1
  rm -rf "$results"
  "$FLIPBENCH" run lost.yaml --no-progress --results "$results" > "$results.txt" 2>&1 & sweep=$!
  folder() { echo "$results"/lost/lost-*; }
  await 60 eval '[ -e "$(folder)"/events.jsonl ] && has_steps "$(folder)" 1' || { cat "$results.txt"; fail "round $n: no step in a minute"; }
  sleep "$wait"
  pid=$(rank_pid "$(folder)" "$victim")
  [ -n "$pid" ] && [ -e "$(folder)/ranks/attempt-1-rank-$victim.json" ] || fail "round $n: rank $victim has no process"
  local all=$(living "$(folder)") start=$SECONDS
  kill "-$signal" "$pid" || fail "round $n: rank $victim had ended: a longer run is needed"
  all_gone() { local p; for p in $all; do ! kill -0 "$p" 2> /dev/null || return 1; done; }
  await 30 all_gone || true
  local took=$((SECONDS - start))
  [ $took -le 12 ] || fail "round $n: $took seconds after SIG$signal of rank $victim others still ran"
  wait $sweep || { cat "$results.txt"; fail "round $n: the sweep failed"; }
  local message
  message=$(grep '"attempt":1,' "$(folder)"/attempts.jsonl | grep attempt_end | grep -o '"message":"[^"]*"')
  echo "round $n: SIG$signal rank $victim after $wait s: $took s: $message"
  case $message in *"rank $victim of 3 (host $(hostname), process $pid)"*) ;; *) cat "$results.txt" "$(folder)"/log.txt; fail "round $n: the message names another rank" ;; esac
  grep '"attempt":1,' "$(folder)"/attempts.jsonl | grep -q '"kind":"rank"' || fail "round $n: another kind of failure"
  grep -q '"why":"retry 1 of 3 after rank: .*; on 2 ranks instead of 3"' "$(folder)"/attempts.jsonl || { cat "$(folder)"/attempts.jsonl; fail "round $n: the record does not say why fewer"; }
  DB=$results/flipbench.db expect_answer "SELECT group_concat(coalesce(ranks, 1), ' ') FROM attempt" '3 2'
  DB=$results/flipbench.db expect_answer "SELECT status, (SELECT sum(steps) FROM step) FROM run" 'finished|1000'
  DB=$results/flipbench.db expect_answer "SELECT count(*) FROM summary WHERE name = 'steady_seconds'" 0
  none_live "$(folder)" || fail "round $n: ranks are left"
  rm -rf "$results"
}
for ((n = 1; n <= ROUNDS; n++)); do
  signal=KILL; [ $((n % 3)) = 0 ] && signal=STOP
  round $n $signal $(((n - 1) % 3)) "$((RANDOM % 2)).$((RANDOM % 10))"
done
