# With the real trainer. INSTANTS=100 by hand; a few in every test run. SEED repeats one.
. "$SOURCE/tests/support/training.sh"
unset FLIPBENCH_DB
RANDOM=${SEED:=$$}
echo "SEED=$SEED"
make_data
ask() { sqlite3 -batch "file:$1/flipbench.db?mode=ro" "$2"; }
cat > one.yaml <<'Y'
name: one
base: run.yaml
settings: {samples: 1920, eval.points: 4}
matrix: {mask_ratio: [0.5]}
report: {rows: mask_ratio, columns: [samples_per_second], plots: []}
Y
run() { "$FLIPBENCH" run one.yaml --no-progress --results "$1" --turns 0; }
started=$(date +%s%N)
expect_status 0 run whole
whole_ms=$((($(date +%s%N) - started) / 1000000))

# A process of its own, so that each signal reaches whom it is for.
begin() { "$FLIPBENCH" run one.yaml --no-progress --results "$1" --turns 0 >> log.txt 2>&1 & bench_pid=$!; }
trainer() { pgrep -P "$bench_pid" 2>/dev/null | sed -n 1p; }
wait_a_while() { sleep "$(printf '%d.%03d' $((RANDOM * whole_ms / 32768 / 1000)) $((RANDOM % 1000)))"; }
interrupt() {
  case $((RANDOM % 5)) in
    0) kill -TERM "$bench_pid" ;;                       # Ctrl-C, a scheduler's warning
    1) p=$(trainer); [ -z "$p" ] || kill -KILL "$p" ;;  # memory ran out, say
    2) p=$(trainer); kill -KILL "$bench_pid" $p ;;      # the machine was lost
    3) kill -KILL "$bench_pid" ;;                       # the trainer stops by itself
    4) "$FLIPBENCH" pause one --results "$1"; sleep 0.5; "$FLIPBENCH" resume one --results "$1"; wait_a_while; kill -TERM "$bench_pid" ;;
  esac 2>/dev/null || true
}
for instant in $(seq "${INSTANTS:-5}"); do
  results=r$instant
  begin "$results"
  wait_a_while
  interrupt "$results"
  wait "$bench_pid" 2>/dev/null || true
  # the remaining cells continue until finished, a killed one when it is requested again
  for try in 1 2 3; do run "$results" > out.txt 2> err.txt && break; "$FLIPBENCH" run one.yaml --retry --no-progress --results "$results" --turns 0 > out.txt 2> err.txt && break; done || true
  [ "$(ask "$results" "SELECT status FROM v_cell_latest")" = finished ] || { cat log.txt err.txt; fail "$results is not finished"; }
  rows="SELECT step, steps, samples, loss FROM step WHERE run_id = (SELECT run_id FROM v_cell_latest) ORDER BY 1; SELECT step, set_name, task, metric, value, samples FROM evaluation WHERE run_id = (SELECT run_id FROM v_cell_latest) ORDER BY 1, 2, 3, 4; SELECT name, value FROM summary WHERE run_id = (SELECT run_id FROM v_cell_latest) AND name IN ('samples', 'final_loss', 'total_steps'); SELECT set_name, task, metric, step, items, hex(hits) FROM outcome WHERE run_id = (SELECT run_id FROM v_cell_latest) ORDER BY 1, 2, 3, 4"
  wanted=$(ask whole "$rows")
  [ -n "$wanted" ] && [ "$(ask "$results" "$rows")" = "$wanted" ] || fail "$results (SEED=$SEED): $(diff <(ask whole "$rows") <(ask "$results" "$rows") | head -20)"
  # times are sums of the rows, the speed is that of real steps, and exclude discarded training
  [ "$(ask "$results" "SELECT abs(sum(seconds) - (SELECT value FROM summary WHERE name = 'train_seconds' AND run_id = step.run_id)) < 1e-6 AND sum(steps) = 60 FROM step WHERE run_id = (SELECT run_id FROM v_cell_latest)")" = 1 ] || fail "$results: times"
  [ "$(ask "$results" "SELECT value > 0 FROM summary WHERE name = 'samples_per_second' AND run_id = (SELECT run_id FROM v_cell_latest)")" = 1 ] || fail "$results: no speed"
  # a rebuilt record is the same
  numbers="SELECT name, value FROM summary WHERE run_id = (SELECT run_id FROM v_cell_latest) ORDER BY 1"
  before=$(ask "$results" "$numbers")
  expect_status 0 "$FLIPBENCH" db rebuild --results "$results"
  [ "$before" = "$(ask "$results" "$numbers")" ] || fail "$results: $(diff <(echo "$before") <(ask "$results" "$numbers"))"
done
expect_status 0 "$FLIPBENCH" verify "$(ask r1 'SELECT run_id FROM v_cell_latest')" --results r1
