# The user's variables for squeue and sbatch neither hide living tasks nor override the options of a script; the tasks
# of another user are known; arrays are as long as the cluster allows; job ids may start again.
. "$SOURCE/tests/support/sweep.sh"
. "$SOURCE/tests/support/slurm.sh"
trap stop_slurm EXIT
slurm_settings=MaxArraySize=2
start_slurm || exit 77

sed -i '/^tuning:/d; /^  unmasked:/d; s/tuned_zero_shot_top1, //' experiments/small.yaml
cat >> experiments/small.yaml <<'Y'
limits: {time: 10m}
slurm: {partition: short, options: [--hold, -J mine]}
Y
jobs=results/small/slurm/jobs.tsv
lines() { [ "$(wc -l < $jobs)" = "$1" ] || { cat $jobs err.txt; fail "$(wc -l < $jobs) tasks were submitted, not $1: $2"; }; }
submit() { expect_status 0 "$@" "$FLIPBENCH" submit experiments/small.yaml --slurm --detach; }

# Three cells are two arrays of at most two tasks; the options are the file's.
submit env SBATCH_PARTITION=long SBATCH_TIMELIMIT=5 SBATCH_JOB_NAME=other SBATCH_ARRAY_INX=0 SBATCH_COMMENT=kept
lines 3 'all cells'
[ "$(cut -f1 $jobs | sort -u | wc -l)" = 2 ] || { cat $jobs; fail 'not two arrays'; }
[ "$(squeue --noheader --format='%P %l %j' | sort -u)" = 'short 10:00 mine' ] || { squeue; fail "the environment's options"; }

# What squeue is told to leave out is not gone.
for filter in STATES=RUNNING PARTITION=long NAMES=none ACCOUNT=none QOS=none LICENSES=none USERS=nobody; do
  submit env "SQUEUE_$filter"
  lines 3 "SQUEUE_$filter"
done

# Nor is what another user has submitted. (The second user is one without a name.)
chmod -R a+rwX "$SCRATCH"
if setpriv --reuid=64321 --clear-groups "$FLIPBENCH" --version > /dev/null 2>&1; then
  submit setpriv --reuid=64321 --clear-groups
  lines 3 "another user's"
fi

# Ids that start again: the older task of the same numbers is none of the living ones.
read -r job index cell < $jobs
last=$(tail -n 1 $jobs)
{ printf '%s\t%s\t%s\n' "$job" "$index" "$(cut -f3 <<< "$last")"; head -n 2 $jobs; } > again
cat again > $jobs
submit env
lines 4 'a cell whose task had the numbers of a living one'
[ "$(tail -n 1 $jobs | cut -f3)" = "$(cut -f3 <<< "$last")" ] || { cat $jobs; fail 'another cell was submitted'; }

# When Slurm has forgotten all of them, a single id as several, all are submitted anew.
scancel $(cut -f1 $jobs | sort -u)
sed -i '2,$d; s/^[0-9]*/987654/' $jobs
submit env
lines 4 'a job that Slurm does not know'
