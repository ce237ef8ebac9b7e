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

# a run whose folder is gone is archived in the database alone, and its name stays free too
rm -r "results/$cell"
expect_status 0 bench runs archive 4
expect_status 0 bench run experiments/small.yaml
expect_answer "SELECT directory, archived FROM run WHERE id = 4" "$cell.archived-3|1"
expect_answer "SELECT directory, archived, status FROM run WHERE id = 5" "$cell|0|finished"
expect_answer "SELECT count(*) FROM run" 5
expect_status 0 bench db check
