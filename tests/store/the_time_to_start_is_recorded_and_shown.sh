# The time from a run's command to its first step: it covers everything before that step, in parts that add
# up, and is at most the time for which the process ran. flipbench shows it.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/record.sh"
make_data
sed -i 's/^samples: .*/samples: 64/; s/^warmup_samples: .*/warmup_samples: 32/; s/^eval:.*/eval: {sets: []}/' run.yaml
began() { date +%s.%N; }
# part NAME RUN: seconds of a part of the newest start
part() { grep '"event":"start"' "$2/events.jsonl" | tail -1 | grep -oE '"start_seconds":\{[^}]*\}' | grep -oE "\"$1\":[0-9.e-]*" | cut -d: -f2 || true; }
holds() { awk "BEGIN { exit !($1) }" || fail "$1: $2"; }
# plausible RUN WALL: every part is positive, the parts add up, and the sum is within the process's time
plausible() {
  local sum=0 name value
  for name in program data device model weights loader; do
    value=$(part $name "$1")
    holds "${value:--1} > 0" "the part $name of $1"
    sum="$sum + $value"
  done
  value=$(part total "$1")
  holds "($sum - $value) ^ 2 < 1e-12 * ($value) ^ 2" "the parts of $1 do not add up"
  holds "$value < $2" "$1 started for longer than it ran"
}

at=$(began)
train --out alone
plausible alone "$(began) - $at"

# settings that arrive a second late
at=$(began)
"$FLIP" train --config <(sleep 1; cat run.yaml) --no-progress --out late
plausible late "$(began) - $at"
holds "$(part program late) > 0.9" "waiting for the settings is not in the part"

# stopped for a second while the data and the model are loaded
for _ in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf slow
  at=$(began)
  train_behind --out slow
  until [ -d slow/checkpoints ]; do kill -0 $pid || fail "the process has ended"; sleep 0.002; done
  kill -STOP $pid
  is_loading=yes
  ! grep -q '"event":"start"' slow/events.jsonl || is_loading=no # it was faster than this script: retry
  sleep 1
  kill -CONT $pid
  wait $pid || fail "a process that was stopped and continued has failed"
  [ $is_loading = no ] || break
done
[ $is_loading = yes ] || fail "never stopped before its start event"
plausible slow "$(began) - $at"
holds "$(part total slow) > 1" "the second is not in the total"

# in the record: the numbers of the newest process, in `flipbench show` and as a column
mkdir -p experiments
cat > experiments/starts.yaml <<'Y'
name: starts
title: "Time to the first step"
base: ../run.yaml
matrix: {mask_ratio: [0.5]}
report: {rows: mask_ratio, columns: [start_seconds, samples_per_second]}
Y
expect_status 0 bench run experiments/starts.yaml --results results
run=$(ask "SELECT directory FROM run")
total=$(part total "results/$run")
expect_answer "SELECT count(*) FROM summary WHERE name LIKE 'start_seconds_%'" 7
expect_answer "SELECT value = $total FROM summary WHERE name = 'start_seconds_total'" 1
plausible "results/$run" "$(ask "SELECT 86400 * (julianday(ended) - julianday(started)) + 0.002 FROM attempt")"
expect_status 0 bench show 1 --results results
expect_line out.txt 'start_seconds_total'
expect_status 0 bench report starts --results results --format csv
[ "$(head -1 out.txt | cut -d, -f2)" = start_seconds ] || { cat out.txt; fail "no column"; }
awk -F, -v total="$total" 'NR == 2 { d = $2 - total; good = d < 0.0051 && d > -0.0051 } END { exit !good }' out.txt || { cat out.txt; fail "the column is not $total"; }
