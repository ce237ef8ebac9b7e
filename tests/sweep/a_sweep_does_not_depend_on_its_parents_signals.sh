# What ignores SIGCHLD before it starts flipbench (env --ignore-signal=CHLD, some supervisors) passes that on.
. "$SOURCE/tests/support/sweep.sh"
expect_status 0 timeout -k 1 60 env --ignore-signal=CHLD "$FLIPBENCH" run experiments/small.yaml --no-progress
expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 5
