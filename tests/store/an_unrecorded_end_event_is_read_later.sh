# flipbench writes how a process ended, and is killed before the database has it.
. "$SOURCE/tests/support/sweep.sh"
expect_status 0 bench run experiments/small.yaml
last=$(tail -n 1 results/small/mask_ratio=0-*/attempts.jsonl | wc -c)
sqlite3 results/flipbench.db "UPDATE attempt SET exit_code = NULL, ended = '' WHERE run_id = 1;
  UPDATE run SET attempts_offset = attempts_offset - $last WHERE id = 1"
expect_status 0 bench run experiments/small.yaml
expect_answer "SELECT exit_code, ended > '2' FROM attempt WHERE run_id = 1" '0|1'
expect_answer "SELECT count(*) FROM attempt" 5

# A finished run whose folder was removed keeps its numbers.
rm -r results/small/mask_ratio=0.5-*
steps=$(ask 'SELECT count(*) FROM step')
expect_status 0 bench run experiments/small.yaml
expect_answer 'SELECT count(*) FROM step' "$steps"
