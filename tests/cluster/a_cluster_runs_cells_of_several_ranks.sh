# A real slurmctld and the real trainer: a cell of two ranks is one job, srun starts the ranks; a task
# that gets a warning signal writes a checkpoint and continues when submitted again; a lost rank is
# named, and the retry requests fewer from Slurm.
. "$SOURCE/tests/support/ranks.sh"
. "$SOURCE/tests/support/slurm.sh"
trap stop_slurm EXIT
start_slurm || exit 77
srun --mpi=list 2>&1 | grep -q pmix || { echo 'skipped: this Slurm has no PMIx plugin'; exit 77; }
cat > many.yaml <<'Y'
name: many
base: run.yaml
settings: {samples: 312k, log_every: 5}
requires: {ranks: 2}
limits: {memory: 100MiB, retries: 1, retry_wait: 100ms, fewest_ranks: 1}
report: {columns: [final_loss], plots: []}
Y
folder() { echo results/many/many-*; }

# What would be submitted.
bench submit many.yaml --slurm --dry-run > out.txt || fail 'dry run'
for line in '--ntasks=2$' '--nodes=1$' '--mem=200M$'; do grep -q -- "^#SBATCH $line" out.txt || { cat out.txt; fail "the script has no $line"; }; done
sed 's/requires:.*/requires: {ranks: 8, nodes: 2, gpus: 1, cores: 3}/' many.yaml > large.yaml
bench submit large.yaml --slurm --dry-run > out.txt || fail 'dry run of two nodes'
for line in '--ntasks=8$' '--nodes=2$' '--ntasks-per-node=4$' '--cpus-per-task=3$' '--gres=gpu:4$' '--mem=400M$'; do
  grep -q -- "^#SBATCH $line" out.txt || { cat out.txt; fail "the script has no $line"; }
done
# an array has one set of options: cells with a different number of ranks are another array
sed 's/^requires:.*/matrix: {ranks: [1, 2], seed: [0, 1]}/; /^limits/d' many.yaml > arrays.yaml
bench submit arrays.yaml --slurm --dry-run > out.txt || fail 'dry run of a matrix'
[ "$(grep -c '^#SBATCH --array=0,1$' out.txt)" = 2 ] && grep -q -- '--ntasks=1$' out.txt && grep -q -- '--ntasks=2$' out.txt || { cat out.txt; fail 'not one array for each number of ranks'; }

# Warned, as a minute before the time limit: writes a checkpoint; continues when submitted again.
bench submit many.yaml --slurm --detach > out.txt 2> err.txt || { cat err.txt; fail 'submit'; }
job=$(cut -f1 results/many/slurm/jobs.tsv | sed -n 1p)
await 60 eval '[ -e "$(folder)"/events.jsonl ] && has_steps "$(folder)" 3' || { cat results/many/slurm/*.out "$(folder)"/log.txt; fail 'no step in a minute'; }
"$FLIPBENCH" submit many.yaml --slurm > out.txt 2> err.txt & follower=$! # before: it would submit what has stopped again
await 60 grep -q "job $job" err.txt || { cat err.txt; fail 'the job is not followed'; }
scancel --batch --signal=TERM "${job}_0"
wait $follower && fail 'interrupted, but status 0'
expect_answer "SELECT status, ranks, json_array_length(rank_records) FROM attempt" 'interrupted|2|2'

# A rank is killed: named, and retried on one.
"$FLIPBENCH" submit many.yaml --slurm > out.txt 2> err.txt & follower=$!
before=$(steps_of "$(folder)")
await 60 has_steps "$(folder)" $((before + 3)) || { cat results/many/slurm/*.out "$(folder)"/log.txt; fail 'it does not continue'; }
victim=$(rank_pid "$(folder)" 1)
start=$SECONDS
kill -KILL "$victim"
wait $follower || { cat out.txt err.txt "$(folder)"/log.txt; fail 'the retry'; }
grep -q "\"kind\":\"rank\",\"message\":\"rank 1 of 2 (host [^,]*, process $victim) has ended: killed by signal 9" "$(folder)"/attempts.jsonl ||
  { cat "$(folder)"/attempts.jsonl "$(folder)"/log.txt; fail 'the lost rank is not named'; }
expect_answer "SELECT group_concat(coalesce(ranks, 1), ' ') FROM attempt" '2 2 1'
expect_answer "SELECT status, (SELECT sum(steps) FROM step) FROM run" 'finished|13000'
grep -q '"why":"retry 1 of 1 after rank: .*; on 1 rank instead of 2"' "$(folder)"/attempts.jsonl || fail 'the record does not say why fewer'
bench show 1 | grep -q "2 ranks: $(hostname) (ranks 0, 1)" || fail 'show names no nodes'
none_live "$(folder)" || fail 'ranks are left'
bench db check > /dev/null || fail 'check of the database'
