# Tasks write to their cells' folders, and no database. After 'submit --detach' nobody reads these: status
# and report do. (sbatch and squeue are imitated: the jobs are the tasks that the test runs.)
. "$SOURCE/tests/support/sweep.sh"
mkdir bin
printf '#!/bin/sh\necho x >> jobs; wc -l < jobs\n' > bin/sbatch
printf '#!/bin/sh\n' > bin/squeue
chmod +x bin/*
PATH=$PWD/bin:$PATH
cat >> experiments/small.yaml <<'Y'
claims:
  - claim: "Half of the patches suffice"
    metric: zero_shot_top1
    of: {mask_ratio: 0.5}
    against: {mask_ratio: 0}
    expect: greater
Y
expect_status 0 bench submit experiments/small.yaml --slurm --detach
expect_status 0 bench status small
[ "$(grep -c '^not run' out.txt)" = 5 ] || fail 'something was run'
list=$(ls results/small/slurm/tasks-*.jsonl | head -n 1)
for index in 0 1; do expect_status 0 bench task "$list" $index; done
expect_status 0 bench status small
[ "$(grep -c '^finished' out.txt)" = 2 ] || { cat out.txt; fail 'what two tasks have finished is not shown'; }
expect_status 0 bench task "$list" 2
expect_status 0 bench status
expect_line out.txt '^small +3/5 finished'

# The report too, from the file as by name, and in every form, and what is made of the same runs.
tasks() { DB=results/flipbench.db ask "SELECT count(*) FROM run WHERE status = 'finished'"; }
for how in 'report small' 'report experiments/small.yaml' 'report small --format html' 'report small --claims' \
  'report --paper' 'plot small' 'export small' 'bundle small'; do
  expect_status 0 bench db rebuild
  sqlite3 results/flipbench.db 'PRAGMA foreign_keys = ON; DELETE FROM run'
  expect_status 0 bench $how
  [ "$(tasks)" = 3 ] || fail "$how reads $(tasks) of 3 tasks"
done

# A task that resumes an interrupted run is read as well, and nothing is read twice.
expect_status 0 bench status small
expect_answer "SELECT count(*) FROM attempt" 3
cell=$(cd results && echo small/mask_ratio=0.75-*)
cp -r "results/$cell" whole
head -n 20 whole/events.jsonl > "results/$cell/events.jsonl"
sed -i '$s/.*/{"event":"attempt_end","time":"2026-11-29T00:00:00.000Z","attempt":1,"status":"interrupted","kind":"","message":"stopped"}/' "results/$cell/attempts.jsonl"
expect_status 0 bench db rebuild
expect_status 0 bench status small
expect_line out.txt '^interrupted .* mask_ratio=0.75'
tail -n +21 whole/events.jsonl >> "results/$cell/events.jsonl"
sed 's/"attempt":1/"attempt":2/' whole/attempts.jsonl >> "results/$cell/attempts.jsonl"
expect_status 0 bench status small
expect_line out.txt '^finished .* mask_ratio=0.75$'
expect_status 0 bench db check
