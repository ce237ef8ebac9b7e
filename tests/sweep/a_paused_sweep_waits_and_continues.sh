. "$SOURCE/tests/support/real_sweep.sh"
"$FLIPBENCH" run experiments/small.yaml > first.txt 2>&1 & sweep=$!
for _ in $(seq 200); do grep -qs '"step":20,' results/small/*/events.jsonl && break; sleep 0.05; done

# Paused: the running cell has written a checkpoint and is gone; the sweep is still there.
expect_status 0 bench pause small
for _ in $(seq 100); do
  [ "$(ask "SELECT count(*) FROM run WHERE status = 'interrupted'")" = 1 ] && break
  sleep 0.05
done
expect_answer "SELECT status FROM run" interrupted
steps=$(ask 'SELECT count(*) FROM step')
sleep 0.5
expect_answer 'SELECT count(*) FROM step' "$steps"
kill -0 $sweep || fail 'the sweep has ended'
timeout 1 "$FLIPBENCH" status small --watch --every 0.1 > out.txt || true
expect_line out.txt 'small: 0/5 finished .*paused'

# Resumed: all cells finish, and no measured time includes the pause.
expect_status 0 bench resume small
wait $sweep || { cat first.txt; fail 'the sweep failed'; }
expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 5
grep -q '"why":"resumed after a pause"' results/small/mask_ratio=0-*/attempts.jsonl || fail 'no reason is recorded'
expect_status 0 bench db check

# Nothing was trained twice or lost: every step is there once.
expect_answer "SELECT count(*), max(step), sum(steps) FROM step WHERE run_id = 1" '250|250|250'

# A name that was never run is refused; a new run ends an old pause.
expect_status 2 bench pause nothing
expect_status 0 bench pause small
expect_line err.txt "no sweep of 'small' is running: nothing to pause"
[ ! -e results/small/pause ] || fail 'a pause without a sweep'
expect_status 0 bench resume small
expect_line err.txt "'flipbench run' continues one that has ended"
touch results/small/pause
expect_status 0 bench run experiments/small.yaml --set seed=9 --set samples=640 --set warmup_samples=0
