. "$SOURCE/tests/support/sweep.sh"

# Not a folder, and not writable (root may write anywhere but here).
: > file
expect_status 1 bench run experiments/small.yaml --results file/results
expect_line err.txt 'file/results'
expect_status 1 bench run experiments/small.yaml --results /proc/results
expect_line err.txt '/proc/results'

# A full disk in the middle of a sweep: simulated by a file-size limit.
(ulimit -f 200; expect_status 1 bench run experiments/small.yaml)
expect_line err.txt 'full|too large|File too large|No space'
expect_status 0 bench db check
expect_status 0 bench status small
# With space again the same command ends the sweep.
expect_status 0 bench run experiments/small.yaml --retry
expect_answer "SELECT count(DISTINCT cell_id) FROM run WHERE status = 'finished'" 5
