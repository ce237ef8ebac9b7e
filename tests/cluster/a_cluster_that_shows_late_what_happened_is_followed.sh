# A real slurmctld whose commands are slow, or write to stderr first, and file systems and queues that show an
# end late: no job is forgotten, nothing is trained twice, and a cell's end is that of its own task.
. "$SOURCE/tests/support/sweep.sh"
. "$SOURCE/tests/support/slurm.sh"
trap stop_slurm EXIT
start_slurm || exit 77
export FAKE_STEP_MS=2 FLIPBENCH_UNSEEN_SECONDS=4
await() { local n=$1; shift; for _ in $(seq $((n * 10))); do ! "$@" 2> /dev/null || return 0; sleep 0.1; done; fail "not within $n s: $*"; }
is_idle() { [ -z "$("$squeue" --noheader --me)" ]; }
trains() { grep -qs '"event":"step"' results/small/mask_ratio=0-*/events.jsonl; } # the first cell
tasks_recorded() { wc -l < results/small/slurm/jobs.tsv; }
sbatch=$(command -v sbatch) squeue=$(command -v squeue)
mkdir bin
cat > bin/sbatch <<S
#!/bin/bash
echo 'sbatch: nodes are shared until noon' >&2
job=\$("$sbatch" "\$@") || exit
if [ -e slow ]; then touch submitted; sleep 6; fi
echo "queue of the day"
echo "\$job"
echo "3 nodes are free, 2026-11-28"
S
cat > bin/squeue <<S
#!/bin/bash
if [ -e late ]; then while [ -n "\$("$squeue" --noheader --me)" ]; do sleep 0.2; done; fi
exec "$squeue" "\$@"
S
chmod +x bin/sbatch bin/squeue
PATH=$PWD/bin:$PATH

# Messages on stderr are passed on, and are not taken for the job's number. The path needs quotes.
mkdir 'odd %A results'
expect_status 0 bench submit experiments/small.yaml --slurm --detach --results 'odd %A results'
expect_line err.txt 'sbatch: nodes are shared until noon'
[ "$(wc -l < 'odd %A results/small/slurm/jobs.tsv')" = 5 ] || fail 'not every cell is recorded with its job'
await 60 is_idle
ls 'odd %A results'/small/slurm/[0-9]*_0.out > /dev/null || fail "no output of a task in 'odd %A results'"

# A cell that ends after its record was read, and before the queue is asked, has ended: it is not lost.
(export FAKE_STEP_MS=40; expect_status 0 bench submit experiments/small.yaml --slurm --detach)
await 60 trains
touch late
expect_status 0 bench submit experiments/small.yaml --slurm
rm late
expect_answer "SELECT count(*), sum(status = 'finished') FROM attempt" '5|5'

# A signal waits until a submitted job is recorded, and a second process until the first one is done.
rm -rf results
touch slow
"$FLIPBENCH" submit experiments/small.yaml --slurm --detach > first.txt 2>&1 & submitter=$!
await 30 [ -e submitted ]
expect_status 1 bench submit experiments/small.yaml --slurm --detach
expect_line err.txt 'slurm/jobs.tsv, the list of submitted jobs, is in use by another process'
kill -TERM $submitter
! wait $submitter || fail 'SIGTERM was lost'
[ "$(tasks_recorded)" = 3 ] || { cat first.txt; fail "of the first array's three tasks $(tasks_recorded) are recorded"; }
rm slow
expect_status 0 bench submit experiments/small.yaml --slurm
expect_answer "SELECT count(*), sum(status = 'finished') FROM attempt" '5|5'
[ "$("$squeue" --noheader --me | wc -l)" = 0 ] || fail 'jobs are left'

# A tuning follows its parent when that is trained again and ends with another loss. With nohup SIGHUP is
# ignored.
parent=$(ask "SELECT directory FROM v_cell_latest WHERE label = 'mask_ratio=0.5'")
sed -i 's/"loss":\([0-9]\)/"loss":9\1/' "results/$parent/events.jsonl"
expect_status 0 bench db rebuild
expect_status 0 bench runs archive "$(ask "SELECT run_id FROM v_cell_latest WHERE label = 'mask_ratio=0.5'")"
(trap '' HUP; exec "$FLIPBENCH" submit experiments/small.yaml --slurm) > follow.txt 2>&1 & follower=$!
await 30 grep -q 'job [0-9]*: 1 task' follow.txt
# Meanwhile the database is not rebuilt, as it is in use; nor is there a sweep on this machine to pause.
kill -STOP $follower
refused=0; bench db rebuild > /dev/null 2> rebuild.txt || refused=$?
bench pause small 2> pause.txt || true
kill -CONT $follower
[ $refused = 2 ] || fail "the database was rebuilt while jobs were followed: $refused"
expect_line rebuild.txt "results/small: 'flipbench submit' is running, and what it finishes would be missing in the new database"
expect_line pause.txt "no sweep of 'small' is running"
kill -HUP $follower
got=0; wait $follower || got=$?
[ $got = 0 ] || { cat follow.txt; fail "following ended with $got"; }
expect_answer "SELECT count(*) FROM run WHERE archived AND directory LIKE '%mask_ratio=0.5%unmasked%'" 1
expect_answer "SELECT count(*), sum(status = 'finished') FROM v_cell_latest" '5|5'
expect_status 0 bench db rebuild
expect_status 0 bench report small
! grep -q 'not run' out.txt || { cat out.txt; fail 'the tuning was not repeated'; }

# The end of an earlier process is not that of a task which was cancelled before it started.
rm -rf results follow.txt
FAKE_STEP_MS=50 "$FLIPBENCH" run experiments/small.yaml > first.txt 2>&1 & sweep=$!
await 30 trains
kill -TERM $sweep
! wait $sweep || fail 'interrupted, but status 0'
expect_answer "SELECT status FROM run" interrupted
scontrol update PartitionName=short State=DOWN
"$FLIPBENCH" submit experiments/small.yaml --slurm > follow.txt 2>&1 & follower=$!
await 30 grep -q 'cancel with' follow.txt
scancel "$(cut -f1 results/small/slurm/jobs.tsv | sed -n 1p)"
scontrol update PartitionName=short State=UP
! wait $follower || { cat follow.txt; fail 'cancelled, but status 0'; }
expect_line follow.txt 'mask_ratio=0 · interrupted .*: its task left the queue before it started'
expect_line follow.txt 'mask_ratio=0.5 · failed .*: its task left the queue before it started'

# One that ended before it started the trainer says so with the end of its output.
rm -rf results
sed 's/^name: small/name: unready/; $a slurm: {setup: [echo reading modules, echo no such module >\&2, exit 3]}' experiments/small.yaml > experiments/unready.yaml
expect_status 1 bench submit experiments/unready.yaml --slurm
expect_line err.txt 'mask_ratio=0: failed: its task ended before the trainer started; .*/unready/slurm/[0-9]+_0.out ends with: reading modules \| no such module$'
expect_line err.txt 'mask_ratio=0.5 · unmasked tuning: failed: its task left the queue before it started'

# At its time limit Slurm signals a task's processes again: flipbench passes on the first signal only, since
# the third one would end a trainer that writes its checkpoint.
cat > slow_to_stop <<S
#!/bin/bash
[ "\$1" = --version ] && exec "$FLIP" --version
trap 'echo TERM >> "$PWD/terms"' TERM
touch "$PWD/is_training"
for _ in \$(seq 60); do sleep 0.1; done
exit 130
S
chmod +x slow_to_stop
sed '/^tuning:/d; /^  unmasked:/d; s/tuned_zero_shot_top1, //; s/\[0, 0.5, 0.75\]/[0.5]/; s/baseline: {mask_ratio: 0}/baseline: {mask_ratio: 0.5}/' \
  experiments/small.yaml > experiments/one.yaml
FLIP=$PWD/slow_to_stop expect_status 0 bench submit experiments/one.yaml --slurm --detach
job=$(cut -f1 results/small/slurm/jobs.tsv | sed -n 1p)
await 30 [ -e is_training ]
for _ in 1 2 3; do scancel --batch --signal=TERM "${job}_0"; sleep 0.8; done
await 30 [ -e terms ]
await 60 is_idle
[ "$(wc -l < terms)" = 1 ] || fail "the trainer got SIGTERM $(wc -l < terms) times"
