# A real slurmctld, slurmd and munged on this machine run the cells of an experiment.
. "$SOURCE/tests/support/sweep.sh"
. "$SOURCE/tests/support/slurm.sh"
trap stop_slurm EXIT
start_slurm || exit 77

cat >> experiments/small.yaml <<'Y'
environment: {GREETING: hello}
limits: {time: 10m, memory: 200MiB}
profiles:
  retrying: {limits: {retries: 1, retry_wait: 100ms}}
  cluster: {slurm: {partition: long, setup: [export SET_UP=yes]}, requires: {cores: 1}}
Y
export FAKE_STEP_MS=2 FLIPBENCH_UNSEEN_SECONDS=4

# What would be submitted: options of the profile and the limits, nothing in the queue.
expect_status 0 bench submit experiments/small.yaml --slurm -p cluster --dry-run
for line in '--partition=long' '--array=0,1,2$' '--time=10$' '--mem=200M' '--cpus-per-task=1' '--signal=B:TERM@60' 'export SET_UP=yes' '--dependency=aftercorr'; do
  expect_line out.txt "$line"
done
[ "$(squeue --noheader | wc -l)" = 0 ] || fail 'a dry run submitted'
[ ! -e results ] || fail 'a dry run wrote something'

# All cells run as tasks, tuning cells after their parents, and the table is printed.
printf '#!/bin/sh\necho "$SLURM_JOB_PARTITION $SET_UP $GREETING" >> %s/seen.txt\nexec "%s" "$@"\n' "$PWD" "$FLIP" > wrapper
chmod +x wrapper
FLIP=$PWD/wrapper expect_status 0 bench submit experiments/small.yaml --slurm -p cluster
expect_line out.txt 'mask_ratio|mask'
expect_answer "SELECT count(*), sum(status = 'finished') FROM run" '5|5'
expect_answer "SELECT count(*) FROM attempt" 5
[ "$(sort -u seen.txt)" = 'long yes hello' ] || { cat seen.txt; fail 'partition, setup or environment is another'; }
expect_answer "SELECT count(*), sum(child.started >= first.ended) FROM attempt AS child JOIN run ON run.id = child.run_id JOIN cell ON cell.id = run.cell_id
  JOIN run AS parent ON parent.cell_id = cell.parent JOIN attempt AS first ON first.run_id = parent.id " '2|2'
expect_status 0 bench db check

# Again: nothing is submitted twice.
expect_status 0 bench submit experiments/small.yaml --slurm -p cluster --detach
expect_line err.txt 'nothing to submit: all 5 cells are finished'
expect_status 0 bench submit experiments/small.yaml --slurm -p cluster
expect_answer "SELECT count(*) FROM attempt" 5

# A failure is one cell's; what hangs on it does not run; --retry submits it again.
rm -rf results
(export FAKE_CRASH=mask_ratio=0.5; expect_status 1 bench submit experiments/small.yaml --slurm)
expect_line err.txt 'mask_ratio=0.5: failed: killed by signal 11'
expect_line err.txt 'mask_ratio=0.5 · unmasked tuning: .*its task left the queue before it started'
expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 3
expect_status 0 bench submit experiments/small.yaml --slurm --retry
expect_answer "SELECT count(DISTINCT cell_id) FROM run WHERE status = 'finished'" 5

# Retries: the failed cell is submitted again by itself, and then what hangs on it.
rm -rf results
mkdir once
(export FAKE_CRASH=mask_ratio=0.5 FAKE_ONCE=$PWD/once
 expect_status 0 bench submit experiments/small.yaml --slurm -p retrying)
expect_answer "SELECT count(DISTINCT cell_id) FROM run WHERE status = 'finished'" 5
grep -q '"why":"retry 1 of 1 after crash' results/*/mask_ratio=0.5-*/attempts.jsonl || fail 'no reason is recorded'

# Detached: the jobs keep running, and are found again. A task that gets SIGTERM writes a
# checkpoint, one that dies with all its processes is lost, one that is cancelled never began; a later
# submission continues from there.
rm -rf results
export FAKE_STEP_MS=100 # long enough for a busy machine to signal before the end
expect_status 0 bench submit experiments/small.yaml --slurm --detach
job=$(cut -f1 results/small/slurm/jobs.tsv | sed -n 1p)
for _ in $(seq 200); do
  grep -qs '"step":20,' results/small/mask_ratio=0-*/events.jsonl && grep -qs '"step":20,' results/small/mask_ratio=0.5-*/events.jsonl && break
  sleep 0.1
done
"$FLIPBENCH" submit experiments/small.yaml --slurm > follow.txt 2>&1 & follower=$!
sleep 1
scancel --batch --signal=TERM "${job}_0"
trainer=$(grep -o '"pid":[0-9]*' results/small/mask_ratio=0.5-*/attempts.jsonl | tail -1 | cut -d: -f2)
task=$(ps -o ppid= -p "$trainer" | tr -d ' ')
kill -STOP "$trainer" # or it might act on the signal that its parent's death sends, and record an end
kill -KILL "$task" "$trainer"
scancel "${job}_2"
got=0; wait $follower || got=$?
[ $got = 1 ] || { cat follow.txt; fail "following ended with $got"; }
[ "$(wc -l < results/small/slurm/jobs.tsv)" = 5 ] || fail 'cells were submitted twice'
expect_answer "SELECT status FROM v_cell_latest WHERE label = 'mask_ratio=0'" interrupted
expect_answer "SELECT status, kind FROM v_cell_latest WHERE label = 'mask_ratio=0.5'" 'interrupted|lost'
expect_line follow.txt 'mask_ratio=0.75 · .*its task left the queue before it started'
export FAKE_STEP_MS=0
expect_status 0 bench submit experiments/small.yaml --slurm --retry
expect_answer "SELECT count(DISTINCT cell_id) FROM run WHERE status = 'finished'" 5
expect_answer "SELECT count(*), max(step) FROM step JOIN v_cell_latest AS v ON v.run_id = step.run_id WHERE v.label = 'mask_ratio=0'" '125|125'
[ "$(grep -c '"step":5,' results/small/mask_ratio=0-*/events.jsonl)" = 1 ] || fail 'trained from the start again'
expect_status 0 bench db check

# Without Slurm: one error message.
rm -rf results
PATH=/nonexistent expect_status 1 "$FLIPBENCH" submit experiments/small.yaml --slurm
expect_line err.txt 'sbatch is not installed here'
