# Two experiments with the same cells in another order, started together: each cell is trained by one of
# them, and both have its result.
. "$SOURCE/tests/support/sweep.sh"
sed 's/^name: small/name: other/; s/\[0, 0.5, 0.75\]/[0.75, 0.5, 0]/' experiments/small.yaml > experiments/other.yaml
FAKE_STEP_MS=4 "$FLIPBENCH" run experiments/small.yaml --results results --no-progress > small.txt 2>&1 & first=$!
FAKE_STEP_MS=4 "$FLIPBENCH" run experiments/other.yaml --results results --no-progress > other.txt 2>&1 & second=$!
wait $first || status=$?
wait $second || status=$?
expect_answer "SELECT count(*) FROM (SELECT cell_id FROM run GROUP BY cell_id HAVING count(*) > 1)" 0
expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 5
# One may have found a cell in the other's hands when it had nothing else to do: the next command has it.
for name in small other; do
  expect_status 0 bench run experiments/$name.yaml
  expect_answer "SELECT count(*) FROM v_cell_latest WHERE experiment = '$name' AND status = 'finished'" 5
done
expect_answer "SELECT count(*) FROM run" 5
# The index lists them in one order, whichever of the two the database knows first.
expect_status 0 bench report small --format html
cp results/index.html index.html
sqlite3 results/flipbench.db "UPDATE experiment SET id = 100 - id; UPDATE experiment_cell SET experiment_id = 100 - experiment_id"
expect_status 0 bench report small --format html
cmp results/index.html index.html || fail 'the order of the index is that of the database'
cat small.txt other.txt; echo "status ${status:-0}"
