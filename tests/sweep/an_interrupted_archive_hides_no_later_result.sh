# Archiving a run marks it, renames its folder and records the new name. flipbench may be killed after each
# of these; the cell's next run must not be taken for the archived one.
. "$SOURCE/tests/support/sweep.sh"
sed -i '/^tuning:/d; /^  unmasked:/d; s/tuned_zero_shot_top1, //; s/mask_ratio: \[0, 0.5, 0.75\]/mask_ratio: [0, 0.5]/' experiments/small.yaml
expect_status 0 bench run experiments/small.yaml
cell=$(ask "SELECT directory FROM run WHERE id = 1")
steps=$(ask "SELECT count(*) FROM step WHERE run_id = 1")
expect_status 0 bench runs archive 1
expect_answer "SELECT directory FROM run WHERE id = 1" "$cell.archived-1"

# killed before the new name was recorded
sqlite3 results/flipbench.db "UPDATE run SET directory = '$cell' WHERE id = 1"
expect_status 0 bench run experiments/small.yaml
expect_answer "SELECT directory, archived, status FROM run WHERE id = 1" "$cell.archived-1|1|finished"
expect_answer "SELECT directory, archived, status FROM run WHERE id = 3" "$cell|0|finished"
expect_answer "SELECT count(*) FROM step WHERE run_id = 1" "$steps"

# killed before the folder was renamed
expect_status 0 bench runs archive 3
mv "results/$cell.archived-2" "results/$cell"
sqlite3 results/flipbench.db "UPDATE run SET directory = '$cell' WHERE id = 3"
expect_status 0 bench run experiments/small.yaml
expect_answer "SELECT directory, archived FROM run WHERE id = 3" "$cell.archived-2|1"
expect_answer "SELECT directory, archived, status FROM run WHERE id = 4" "$cell|0|finished"

# a run whose folder is gone is not archived: it may lie elsewhere; a rebuilt database knows it no more
rm -r "results/$cell"
for verb in archive restore 'remove --yes'; do
  expect_status 2 bench runs $verb 4
  expect_line err.txt "^flipbench: error: results/$cell: run 4's folder is not there; .* 'flipbench db rebuild' drops its record"
done
expect_answer "SELECT directory, archived FROM run WHERE id = 4" "$cell|0"
expect_status 0 bench db rebuild
expect_status 0 bench run experiments/small.yaml
expect_answer "SELECT directory, archived FROM run WHERE directory GLOB '$cell*' ORDER BY 1" \
  "$cell|0
$cell.archived-1|1
$cell.archived-2|1"
expect_status 0 bench db check
