. "$SOURCE/tests/support/sweep.sh"

# Each way to die: its own status and reason, the other cells run, its dependents are skipped.
die() { # die VARIABLE expected-reason
  rm -rf results
  (export "$1=mask_ratio=0.5"; expect_status 1 bench run experiments/small.yaml)
  expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 3
  expect_line err.txt "mask_ratio=0.5: failed: .*$2"
  expect_line err.txt 'mask_ratio=0.5 · unmasked tuning: (skipped|not run)'
  expect_line err.txt 'log.txt'
  expect_status 0 bench report small
  expect_line out.txt 'mask_ratio=0.5: failed'
}
die FAKE_CRASH 'signal 11|SIGSEGV|Segmentation'
die FAKE_KILL 'signal 9|SIGKILL|Killed'
die FAKE_NAN 'not a number'
die FAKE_REFUSE 'no such file'

# Its dependents never start: --watch does not wait for them, and they have no run.
expect_status 0 timeout 20 "$FLIPBENCH" status small --watch --every 0.1
expect_line out.txt '^small: 3/5 finished · 1 failed$'
expect_status 0 bench status small --json
expect_line out.txt '"status":"not run","cell":"[0-9a-f]+","run":null'

# Failed cells stay failed until --retry; finished cells are left alone.
expect_status 1 bench run experiments/small.yaml
expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 3
# A dry run counts what the same command would run: no cell whose parent stays failed, and what --retry runs again.
expect_status 0 bench run experiments/small.yaml --dry-run
expect_line out.txt '^failed      [0-9a-f]{8}  mask_ratio=0.5$'
expect_line out.txt '^skipped     [0-9a-f]{8}  mask_ratio=0.5 · unmasked tuning$'
expect_line out.txt '^5 cells, 0 to run$'
find results -not -name '*.db*' | sort > before.txt
expect_status 0 bench run experiments/small.yaml --dry-run --retry
expect_line out.txt '^waiting     [0-9a-f]{8}  mask_ratio=0.5$'
expect_line out.txt '^5 cells, 2 to run: about'
find results -not -name '*.db*' | sort | cmp - before.txt || fail "a dry run changed the results"
expect_answer "SELECT count(*) FROM run WHERE status = 'failed'" 1
expect_status 0 bench run experiments/small.yaml --retry
expect_answer "SELECT count(DISTINCT cell_id) FROM run WHERE status = 'finished'" 5
expect_status 0 bench db check

# The output of a process is its own, not what an earlier one of the cell wrote before it.
rm -rf results
(export FAKE_CRASH=mask_ratio=0.5; expect_status 1 bench run experiments/small.yaml)
echo 'the first words' >> results/small/mask_ratio=0.5-*/log.txt
(export FAKE_KILL=mask_ratio=0.5; expect_status 1 bench run experiments/small.yaml --retry)
! grep -q 'the first words' err.txt || fail "the output of another process is shown"
expect_answer "SELECT count(*) FROM attempt WHERE log_tail LIKE '%first words%'" 0
expect_answer "SELECT count(*) FROM attempt WHERE number = 2 AND status = 'failed'" 1

# A cgroup that an earlier process left behind, which was killed in it for lack of memory, says nothing of a later one.
cell=$(ask "SELECT cell_id FROM v_cell_latest WHERE label = 'mask_ratio=0.5'")
rm -rf results
mkdir -p "cgroups/$cell"
echo 'cpu memory pids' > cgroups/cgroup.controllers
echo max > "cgroups/$cell/memory.max"
echo 'oom_kill 1' > "cgroups/$cell/memory.events"
(
  export FAKE_KILL=mask_ratio=0.5 FLIPBENCH_CGROUP=$PWD/cgroups
  expect_status 1 bench run experiments/small.yaml --memory-limit 4GiB
)
expect_line err.txt 'mask_ratio=0.5: failed: killed by signal 9'
expect_answer "SELECT kind FROM run WHERE status = 'failed'" killed
