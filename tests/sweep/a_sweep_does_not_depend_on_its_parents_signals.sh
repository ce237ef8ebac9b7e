# What ignores SIGCHLD before it starts flipbench (env --ignore-signal=CHLD, some supervisors) passes that on.
. "$SOURCE/tests/support/sweep.sh"
expect_status 0 timeout -k 1 60 env --ignore-signal=CHLD "$FLIPBENCH" run experiments/small.yaml --no-progress
expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 5

# A reader of its messages that quits (| head, Ctrl-C of | tee) ends no sweep: what runs is recorded to its end.
mkfifo pipe
closed() { # closed FD: it becomes a pipe that nobody reads
  exec 8<>pipe
  eval "exec $1>pipe"
  exec 8<&-
}
rm -r results
(closed 2; "$FLIPBENCH" run experiments/small.yaml > out.txt) || fail "the sweep ended with $?"
expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 5
rm -r results
got=0
(
  export FAKE_HANG=mask_ratio=0
  closed 2
  exec "$FLIPBENCH" run experiments/small.yaml > out.txt
) &
sweep=$!
until grep -qs '"event":"step"' results/small/mask_ratio=0-*/events.jsonl; do sleep 0.05; done
kill -TERM "$sweep"
wait "$sweep" || got=$?
[ "$got" = 130 ] || fail "the interrupted sweep ended with $got"
expect_answer "SELECT status FROM attempt" interrupted
got=0
(closed 1; exec timeout 20 "$FLIPBENCH" status small --watch --every 0.1) 2> err.txt || got=$?
[ "$got" = 0 ] || fail "status --watch without a reader ended with $got"
[ ! -s err.txt ] || fail "status --watch complains: $(cat err.txt)"
