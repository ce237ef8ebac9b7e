# What 'flipbench submit' would submit, which needs no cluster: an array has one set of options, and sbatch
# reads each as it was meant.
. "$SOURCE/tests/support/sweep.sh"
sed -i '/^tuning:/d; /^  unmasked:/d; s/tuned_zero_shot_top1, //' experiments/small.yaml
scripts() { # the scripts that would be submitted: script1, script2, …
  rm -f script?
  expect_status 0 bench submit experiments/small.yaml --slurm --dry-run "$@"
  awk '/^#!/ { n++ } n { print > ("script" n) }' out.txt
}

# A cell without a limit does not get that of another one.
cat >> experiments/small.yaml <<'Y'
limits: {when: {mask_ratio: 0.5}, time: 10m, memory: 200MiB}
Y
scripts
[ ! -e script3 ] || { cat out.txt; fail 'more than two arrays'; }
expect_line script1 '^#SBATCH --array=0,1$'
! grep -qE '^#SBATCH --(time|mem)=' script1 || { cat script1; fail "cells without a limit have another cell's"; }
expect_line script2 '^#SBATCH --array=0$'
expect_line script2 '^#SBATCH --time=10$'
expect_line script2 '^#SBATCH --mem=200M$'
# Of several limits the greatest holds for all.
sed -i 's/^limits:.*/limits: [{time: 5m}, {when: {mask_ratio: 0.5}, time: 10m}]/' experiments/small.yaml
scripts
[ ! -e script2 ] || { cat out.txt; fail 'more than one array'; }
expect_line script1 '^#SBATCH --time=10$'

# Values with spaces, quotes and comment signs stay one value; a '%' of a path is no pattern.
cat >> experiments/small.yaml <<'Y'
slurm: {partition: short, constraint: 'big #1 "x"'}
Y
mkdir 'my %Afolder'
scripts --results 'my %Afolder'
expect_line script1 '^#SBATCH --job-name=small$'
expect_line script1 '^#SBATCH --partition=short$'
grep -qxF '#SBATCH --constraint="big #1 \"x\""' script1 || { cat script1; fail 'the constraint is not quoted'; }
grep -qxF "#SBATCH --output=\"$PWD/my %%Afolder/small/slurm/%A_%a.out\"" script1 || { cat script1; fail 'the path of the output is not quoted'; }

# In a limit of a minute or two, nothing would be left before the warning: it comes at the limit.
sed -i 's/^limits:.*/limits: {time: 1m}/' experiments/small.yaml
scripts
expect_line script1 '^#SBATCH --time=2$'
sed -i 's/^limits:.*/limits: {time: 2m}/' experiments/small.yaml
scripts
expect_line script1 '^#SBATCH --time=2$'

# Slurm writes no output below a folder with a backslash in its name.
mkdir 'my\folder'
expect_status 2 bench submit experiments/small.yaml --slurm --dry-run --results 'my\folder'
expect_line err.txt 'backslash'
