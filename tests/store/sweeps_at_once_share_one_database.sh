. "$SOURCE/tests/support/sweep.sh"
for i in 1 2 3; do
  sed "s/name: small/name: small$i/; s/samples: 8k/samples: ${i}k/" experiments/small.yaml > experiments/small$i.yaml
done
sweeps=()
for i in 1 2 3; do
  FAKE_STEP_MS=2 "$FLIPBENCH" run experiments/small$i.yaml --jobs 2 > out$i.txt 2> err$i.txt &
  sweeps+=($!)
done
for i in 1 2 3; do
  wait "${sweeps[$((i - 1))]}" || { cat err$i.txt; fail "sweep $i failed"; }
done
expect_answer "SELECT count(*), sum(status = 'finished') FROM v_cell_latest" '15|15'
expect_status 0 bench db check
for i in 1 2 3; do expect_status 0 bench report small$i; done

# One that another process writes to for longer than a command would wait is none of a sweep's failures.
rm -r results
FAKE_STEP_MS=20 "$FLIPBENCH" run experiments/small1.yaml > out.txt 2> err.txt &
sweep=$!
until grep -qs '"event":"step"' results/small1/*/events.jsonl; do sleep 0.05; done
sqlite3 -cmd '.timeout 10000' results/flipbench.db 'BEGIN IMMEDIATE' '.shell sleep 12' 'COMMIT'
expect_status 0 bench db vacuum
wait "$sweep" || { cat err.txt; fail "the sweep failed"; }
expect_answer "SELECT count(*), sum(status = 'finished') FROM v_cell_latest" '5|5'
