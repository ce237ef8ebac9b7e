# Which process wrote a row, and which run of its parent a tuning came from, do not depend on clocks: they are
# set back between two processes, and those of two machines differ.
. "$SOURCE/tests/support/sweep.sh"

# A run of two processes, the second with a clock that is an hour late.
FAKE_STEP_MS=5 "$FLIPBENCH" run experiments/small.yaml --results results --no-progress > sweep.txt 2>&1 & sweep=$!
for _ in $(seq 200); do grep -q '"event":"step"' results/small/mask_ratio=0-*/events.jsonl 2>/dev/null && break; sleep 0.02; done
kill -INT $sweep; wait $sweep || true
run=$(ls -d results/small/mask_ratio=0-*)
first=$(wc -c < "$run/events.jsonl")
expect_status 0 bench run experiments/small.yaml
by_attempt() { ask "SELECT attempt, count(*) FROM step JOIN run ON run.id = run_id WHERE directory = '${run#results/}' GROUP BY attempt"; }
numbers() { ask "SELECT name, value FROM summary JOIN run ON run.id = run_id WHERE directory = '${run#results/}'
  AND name IN ('samples_per_second', 'steady_low', 'steady_high', 'train_seconds') ORDER BY name"; }
by_attempt > attempts.before; numbers > numbers.before
[ "$(wc -l < attempts.before)" = 2 ] || { cat attempts.before sweep.txt; fail "the run has no two processes"; }
late() { sed -E 's/"time":"20(..)-(..)-(..)T/"time":"19\1-\2-\3T/'; } # a century, of equal length
{ head -c "$first" "$run/events.jsonl"; tail -c +$((first + 1)) "$run/events.jsonl" | late; } > events && mv events "$run/events.jsonl"
{ grep -n '' "$run/attempts.jsonl" | sed -n '1,2p' | sed 's/^[0-9]*://'; sed 1,2d "$run/attempts.jsonl" | late; } > lines && mv lines "$run/attempts.jsonl"
expect_status 0 bench db rebuild
by_attempt | cmp - attempts.before || { by_attempt; fail "a rebuild gives rows to the wrong process"; }
numbers | cmp - numbers.before || fail "a rebuild changes the run's numbers"

# A tuning whose clock was behind its parent's: it is made again when its parent ends with another loss, and
# only then.
for tuning in results/small/*unmasked*; do
  late < "$tuning/attempts.jsonl" > lines && mv lines "$tuning/attempts.jsonl"
  late < "$tuning/events.jsonl" > lines && mv lines "$tuning/events.jsonl"
done
expect_status 0 bench db rebuild
expect_status 0 bench run experiments/small.yaml
expect_answer "SELECT count(*) FROM run" 5
parent=$(ls -d results/small/mask_ratio=0.5-*)
id=$(ask "SELECT id FROM run WHERE directory = '${parent#results/}'")
sed -i 's/"loss":\([0-9]\)/"loss":9\1/' "$parent/events.jsonl"
sed -i 's/"origin_loss":\([0-9]\)/"origin_loss":9\1/' results/small/mask_ratio=0.5_unmasked*/attempts.jsonl
expect_status 0 bench db rebuild
expect_status 0 bench run experiments/small.yaml
expect_answer "SELECT count(*) FROM run" 5
expect_status 0 bench runs archive "$(ask "SELECT id FROM run WHERE directory = '${parent#results/}'")"
expect_status 0 bench run experiments/small.yaml
expect_answer "SELECT count(*), sum(archived) FROM run" '7|2'
